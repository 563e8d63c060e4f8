package exports

import (
	"context"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/menu"
)

// Targets lists the targets, without their secrets.
func (q *Queue) Targets() []capture.Target {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := []capture.Target{}
	for _, t := range q.targets {
		list = append(list, t.Target)
	}
	return list
}

// Auto returns the names of the targets that get every file of a capture.
func (q *Queue) Auto() (names []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.targets {
		if t.Auto {
			names = append(names, t.Name)
		}
	}
	return names
}

// CheckTarget returns an error for users if there is no target of that name.
func (q *Queue) CheckTarget(name string) error {
	var names []string
	for _, t := range q.Targets() {
		if t.Name == name {
			return nil
		}
		names = append(names, t.Name)
	}
	e := &menu.Error{Code: menu.NotFound, Argument: "target", Message: "There is no target " + menu.Quoted(name),
		Hint: "packetcapture target list shows them"}
	if near := menu.Nearest(name, names); near != "" {
		return e.WithHint("Did you mean %s?", near)
	}
	return e
}

// AddTarget keeps a target. Without a secret, the appliance logs in at one for SFTP by its own key.
func (q *Queue) AddTarget(ctx context.Context, _ menu.Caller, t capture.Target, secret menu.Secret) (capture.Target, error) {
	if !capture.PlainName(t.Name) {
		return t, menu.BadArgument("name", "%s is not a name for a target", menu.Quoted(t.Name)).WithHint("%s", capture.PlainNameHint(t.Name))
	}
	u, s, err := parseURL(t.URL)
	if err != nil {
		return t, menu.BadArgument("url", "%s", menu.Sentence(err.Error()))
	}
	if asks, ok := s.(sending.KeyAsker); ok && t.HostKey == "" {
		found, err := asks.HostKey(ctx, sending.Destination{URL: u})
		if err != nil {
			return t, menu.BadArgument("hostkey", "The fingerprint of the host's key is missing, and %s", err).
				WithHint("Give hostkey SHA256:..., as ssh-keygen -l prints it")
		}
		return t, menu.BadArgument("hostkey", "The host's key has the fingerprint %s", found).
			WithHint("Make sure that it is right, and give: hostkey %s", found)
	}
	if t.HostKey != "" && (!strings.HasPrefix(t.HostKey, "SHA256:") || len(t.HostKey) != len("SHA256:")+43) {
		return t, menu.BadArgument("hostkey", "%s is not a fingerprint", menu.Quoted(t.HostKey)).
			WithHint("It is SHA256: and 43 characters, as ssh-keygen -l prints it")
	}
	if err := checkProofs(s, u, t.HostKey, string(secret)); err != nil {
		return t, err
	}
	t.Login = s.Login(u, string(secret))
	if err := q.changeTargets(func(targets []storedTarget) ([]storedTarget, error) {
		if slices.ContainsFunc(targets, isTarget(t.Name)) {
			return nil, &menu.Error{Code: menu.State, Argument: "name", Message: "There is a target " + t.Name + " already",
				Hint: "Choose another name, or delete that one"}
		}
		return append(targets, storedTarget{t, string(secret)}), nil
	}); err != nil {
		return t, err
	}
	q.o.TellTargets.Changed(t.Name)
	return t, nil
}

func isTarget(name string) func(storedTarget) bool {
	return func(t storedTarget) bool { return t.Name == name }
}

// DeleteTarget forgets a target. Copies to it that wait, or are under way, fail.
func (q *Queue) DeleteTarget(_ menu.Caller, name string) error {
	if err := q.CheckTarget(name); err != nil {
		return err
	}
	if err := q.changeTargets(func(targets []storedTarget) ([]storedTarget, error) {
		return slices.DeleteFunc(targets, isTarget(name)), nil
	}); err != nil {
		return err
	}
	q.giveUpOn(name)
	q.o.OnTargetGone(name)
	q.o.TellTargets.Changed(name)
	q.Hurry() // Copies to it fail now.
	return nil
}

// giveUpOn gives a target that was deleted up, and ends the copy that is under way if it is to that one.
func (q *Queue) giveUpOn(target string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost {
		q.deleted[target] = true
	}
	if q.giveUp != nil && q.sending == target {
		q.giveUp()
	}
}
