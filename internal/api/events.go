package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/api/sse"
	"diagsh/internal/menu"
)

// events tells what changes, until the session ends or the peer goes. It is no act of a user: a
// page that shows the state does not keep its session open.
func (s *Server) events(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	topics, err := s.topicsOf(r)
	if err != nil {
		return err
	}
	leave, err := s.streams.Enter(caller.Session)
	if err != nil {
		return err
	}
	defer leave()
	listener := s.appliance.Listen(r.Header.Get("Last-Event-ID"))
	defer listener.Close()
	e := sse.New(w, sse.Caller{
		Current: func() (menu.Caller, error) { return s.appliance.Current(caller.Session) },
		Ending:  func() access.SessionEnd { return s.appliance.Ending(caller.Session) },
		May: func(now menu.Caller, topic string) bool {
			path, wanted := topics[topic]
			return wanted && s.mayHear(now, topic, path)
		},
	})
	e.Follow(r.Context(), listener, s.quietTime)
	return nil
}

// mayHear reports whether a caller may know what changes of a topic: whether the caller may run the
// command at path, which lists what the topic is about.
func (s *Server) mayHear(caller menu.Caller, topic string, path []string) bool {
	if topic == access.FilesTopic {
		return permitFile(caller, roleListFiles, access.File{}) == nil
	}
	_, err := s.find(caller, path)
	return err == nil
}

// topicsOf returns the topics that a request names, with the path of the command that lists each;
// all of them if it names none.
func (s *Server) topicsOf(r *http.Request) (map[string][]string, error) {
	all := s.topics()
	query := r.URL.Query().Get("topics")
	if query == "" {
		return all, nil
	}
	wanted := map[string][]string{}
	for name := range strings.SplitSeq(query, ",") {
		path, known := all[name]
		if !known {
			return nil, menu.BadArgument("topics", "There is no topic %s", menu.Quoted(shown(name))).
				WithHint("The topics are %s", strings.Join(slices.Sorted(maps.Keys(all)), ", "))
		}
		wanted[name] = path
	}
	return wanted, nil
}

// topics returns the topics of events, each with the path of the first command that lists what it
// is about.
func (s *Server) topics() map[string][]string {
	topics := map[string][]string{access.FilesTopic: nil}
	s.tree.Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok || c.Topic == "" {
			return
		}
		if _, known := topics[c.Topic]; !known {
			topics[c.Topic] = path
		}
	})
	return topics
}
