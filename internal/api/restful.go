package api

import (
	"errors"
	"net/http"

	"diagsh/internal/api/rest"
	"diagsh/internal/menu"
)

// mountResources mounts what the declarations of the tree say to be resources.
func (s *Server) mountResources(mux *http.ServeMux) {
	if s.tree == nil {
		return
	}
	routes := rest.Routes(s.tree)
	tagged := map[string]*taggedResource{}
	for _, route := range routes {
		if route.Tagged && route.Method == http.MethodGet {
			tagged[route.Resource.Path] = &taggedResource{read: route}
		}
	}
	for _, route := range routes {
		of := tagged[route.Resource.Path]
		if !route.Tagged || route.Method == http.MethodGet {
			of = nil
		}
		mux.HandleFunc(route.Pattern(), s.with(s.asynchronous(func(*http.Request) []string { return route.Path }, s.resource(route, of))))
	}
}

// A taggedResource is a resource that may be changed on the condition that it is as it was read. The
// server compares before it runs the command, and the command once more, by menu.Caller.Condition.
type taggedResource struct {
	read rest.Route
}

// resource returns the handler of a route. of is set if requests may have conditions.
func (s *Server) resource(route rest.Route, of *taggedResource) func(http.ResponseWriter, *http.Request, menu.Caller) error {
	return func(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
		unchanged := func() error { return nil }
		if of != nil {
			unchanged = func() error { return s.unchanged(r, caller, of) }
		}
		return s.perform(w, r, caller, route.Path, form{
			condition: unchanged,
			arguments: func(*menu.Command) (menu.Arguments, error) {
				args, err := resourceArguments(r, route)
				if err == nil {
					err = unchanged()
				}
				return args, err
			},
			output: func(c *menu.Command, args menu.Arguments) (runOutput, error) {
				if shape := c.ShapeOf(args); shape == menu.Stream || shape == menu.Bytes {
					out := s.outputFor(w, r, shape)
					if route.Type != "" {
						w.Header().Set("Content-Type", route.Type)
					}
					return out, nil
				}
				var page rest.Page
				if route.Paged() {
					var err error
					if page, err = route.PageOf(r, args); err != nil {
						return nil, err
					}
				}
				return &answer{Answer: route.Answer(page, route.Picked(r)), w: w, r: r}, nil
			},
		})
	}
}

// resourceArguments reads the arguments of a request for a resource.
func resourceArguments(r *http.Request, route rest.Route) (menu.Arguments, error) {
	body := map[string]any{}
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	return route.Arguments(r, body)
}

// unchanged returns the refusal of a request whose If-Match does not name the resource as it is now, or
// whose If-None-Match does.
func (s *Server) unchanged(r *http.Request, caller menu.Caller, of *taggedResource) error {
	want, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	if want == "" && none == "" {
		return nil
	}
	args, err := of.read.Read(r)
	if err != nil {
		return err
	}
	now := of.read.Answer(rest.Page{}, of.read.Picked(r))
	if _, err := s.RunWithin(r.Context(), caller, of.read.Path, args, now); err != nil {
		if e, ok := errors.AsType[*menu.Error](err); !ok || e.Code != menu.NotFound {
			return err
		}
	}
	body, err := now.Body()
	if err != nil {
		return err
	}
	switch {
	case want != "" && (body == nil || !rest.Matches(want, rest.Tag(body))):
		return rest.Changed()
	case none != "" && body != nil && rest.Matches(none, rest.Tag(body)):
		return rest.Exists()
	}
	return nil
}

// An answer is a rest.Answer to a request.
type answer struct {
	*rest.Answer
	w http.ResponseWriter
	r *http.Request
}

func (a *answer) finish(err error) error {
	if err != nil {
		return err
	}
	return a.Send(a.w, a.r)
}

func (a *answer) stop() {}
