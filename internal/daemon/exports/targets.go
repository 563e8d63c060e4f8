package exports

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

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
		list = append(list, t.told())
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

// WantsManifest reports whether a target gets a list of the files of each capture after them.
func (q *Queue) WantsManifest(target string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	t, is := q.target(target)
	return is && t.Manifest
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
	return noTarget(name, names)
}

// noTarget says that a target is not there, and which of the others may be meant.
func noTarget(name string, others []string) *menu.Error {
	e := &menu.Error{Code: menu.NotFound, Argument: "target", Message: "There is no target " + menu.Quoted(name),
		Hint: "packetcapture target list shows them"}
	if near := menu.Nearest(name, others); near != "" {
		return e.WithHint("Did you mean %s?", near)
	}
	return e
}

// AddTarget keeps a target. Without a secret, the appliance logs in at one for SFTP by its own key.
func (q *Queue) AddTarget(ctx context.Context, _ menu.Caller, t capture.Target, secret menu.Secret) (capture.Target, error) {
	if !capture.PlainName(t.Name) {
		return t, menu.BadArgument("name", "%s is not a name for a target", menu.Quoted(t.Name)).WithHint("%s", capture.PlainNameHint(t.Name))
	}
	stored := storedTarget{Target: t, Secret: string(secret), ProxySecret: t.ProxySecret}
	if err := checkTarget(ctx, &stored); err != nil {
		return t, err
	}
	if err := q.changeTargets(func(targets []storedTarget) ([]storedTarget, error) {
		if slices.ContainsFunc(targets, isTarget(t.Name)) {
			return nil, &menu.Error{Code: menu.State, Argument: "name", Message: "There is a target " + t.Name + " already",
				Hint: "Choose another name, or delete that one"}
		}
		return append(targets, stored), nil
	}); err != nil {
		return t, err
	}
	q.o.TellTargets.Changed(t.Name)
	return stored.told(), nil
}

// told returns a target without its secrets.
func (t storedTarget) told() capture.Target {
	t.Target.ProxySecret = ""
	return t.Target
}

// ChangeTarget changes what is given of a target. Copies that wait, or are under way, go on by it.
func (q *Queue) ChangeTarget(ctx context.Context, _ menu.Caller, name string, change capture.TargetChange) (capture.Target, error) {
	q.mu.Lock()
	t, is := q.target(name)
	q.mu.Unlock()
	if !is {
		return capture.Target{}, q.CheckTarget(name)
	}
	before := t
	set(&t.URL, change.URL)
	set(&t.HostKey, change.HostKey)
	set(&t.Secret, change.Secret)
	set(&t.Proxy, change.Proxy)
	set(&t.ProxySecret, change.ProxySecret)
	set(&t.Authorities, change.Authorities)
	set(&t.Template, change.Template)
	set(&t.Auto, change.Auto)
	set(&t.Manifest, change.Manifest)
	set(&t.BytesPerSecond, change.BytesPerSecond)
	if t.Proxy == "" && change.ProxySecret == nil {
		t.ProxySecret = "" // it was that of the proxy that is gone
	}
	if err := checkTarget(ctx, &t); err != nil {
		return capture.Target{}, err
	}
	if who := t.otherThan(before); who != "" && t.Secret != "" && change.Secret == nil {
		return capture.Target{}, menu.BadArgument("secret", "%s gets the secret only if it is given again", who)
	}
	if t.ProxySecret != "" && change.ProxySecret == nil && hostOf(t.Proxy) != hostOf(before.Proxy) {
		return capture.Target{}, menu.BadArgument("proxysecret", "Another proxy gets the password only if it is given again")
	}
	if err := q.changeTargets(func(targets []storedTarget) ([]storedTarget, error) {
		i := slices.IndexFunc(targets, isTarget(name))
		if i < 0 || targets[i] != before {
			return nil, &menu.Error{Code: menu.State, Argument: "name", Message: "The target " + name + " was changed meanwhile", Hint: "Try again"}
		}
		targets[i] = t
		return targets, nil
	}); err != nil {
		return capture.Target{}, err
	}
	q.mu.Lock()
	q.paceOf(t)
	delete(q.resting, name)
	for _, e := range q.queue {
		if e.Target == name {
			e.NextTry = time.Time{}
		}
	}
	q.mu.Unlock()
	if t.way() != before.way() {
		q.interrupt(func(e *capture.Export) bool { return e.Target == name })
	}
	q.o.TellTargets.Changed(name)
	q.changed()
	return t.told(), nil
}

// hostOf returns the host of a URL with its scheme and port, and with the options that say what else it
// is called and whether others can read what it is told.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Scheme + "://" + u.Host + "?style=" + u.Query().Get("style") + "&tls=" + u.Query().Get("tls")
}

// otherThan says who else than before could read what a target is told, or on its way; "" if nobody. Who
// changes a target may not know its secret.
func (t storedTarget) otherThan(before storedTarget) string {
	switch {
	case hostOf(t.URL) != hostOf(before.URL):
		return "Another host"
	case t.HostKey != before.HostKey:
		return "A host with another key"
	case t.Authorities != before.Authorities:
		return "A host that other authorities vouch for"
	case (t.Proxy == "") != (before.Proxy == ""), t.Proxy != "" && hostOf(t.Proxy) != hostOf(before.Proxy):
		return "A host on another way"
	}
	return ""
}

// way returns what of a target says how to come there.
func (t storedTarget) way() [6]string {
	return [6]string{t.URL, t.HostKey, t.Secret, t.Proxy, t.ProxySecret, t.Authorities}
}

func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

// checkTarget returns an error for users if a target is none, and completes it.
func checkTarget(ctx context.Context, t *storedTarget) error {
	u, s, err := parseURL(t.URL)
	if err != nil {
		return menu.BadArgument("url", "%s", menu.Sentence(err.Error()))
	}
	way := sending.Destination{URL: u}
	if t.Proxy != "" {
		if way.Proxy, err = parseProxy(t.Proxy, t.ProxySecret); err != nil {
			return menu.BadArgument("proxy", "%s", menu.Sentence(err.Error()))
		}
	} else if t.ProxySecret != "" {
		return menu.BadArgument("proxysecret", "There is no proxy that the password is for").WithHint("Give proxy http://USER@HOST:PORT")
	}
	if asks, ok := s.(sending.KeyAsker); ok && t.HostKey == "" {
		found, err := asks.HostKey(ctx, way)
		if err != nil {
			return menu.BadArgument("hostkey", "The fingerprint of the host's key is missing, and %s", err).
				WithHint("Give hostkey SHA256:..., as ssh-keygen -l prints it")
		}
		return menu.BadArgument("hostkey", "The host's key has the fingerprint %s", found).
			WithHint("Make sure that it is right, and give: hostkey %s", found)
	}
	if t.HostKey != "" && (!strings.HasPrefix(t.HostKey, "SHA256:") || len(t.HostKey) != len("SHA256:")+43) {
		return menu.BadArgument("hostkey", "%s is not a fingerprint", menu.Quoted(t.HostKey)).
			WithHint("It is SHA256: and 43 characters, as ssh-keygen -l prints it")
	}
	if err := checkProofs(s, u, t.HostKey, t.Secret); err != nil {
		return err
	}
	if t.Template != "" {
		if err := checkTemplate(t.Template); err != nil {
			return err
		}
	}
	if t.Authorities, err = authorities(t.Authorities); err != nil {
		return err
	}
	t.Login = s.Login(u, t.Secret)
	return nil
}

// parseProxy reads the URL of a proxy, and gives it its password. Its error is for users.
func parseProxy(text, secret string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("a proxy is http://HOST:PORT or socks5://HOST:PORT")
	}
	if err := sending.CheckProxy(u); err != nil {
		return nil, err
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("the password of a proxy is given by itself, as proxysecret")
	}
	if secret != "" && u.User.Username() == "" {
		return nil, errors.New("a proxy with a password has a user: http://USER@HOST:PORT")
	}
	if secret != "" {
		u.User = url.UserPassword(u.User.Username(), secret)
	}
	return u, nil
}

// mostAuthorities bounds the text of the authorities of a target, in bytes.
const mostAuthorities = 256 << 10

// authorities returns the certificates of a text in PEM, and nothing else of it. The error is for
// users.
func authorities(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", nil
	}
	var found strings.Builder
	for rest := []byte(text); len(text) <= mostAuthorities; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return "", menu.BadArgument("authorities", "The authorities have a block that is no certificate: %s", menu.Quoted(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", menu.BadArgument("authorities", "The authorities have a certificate that cannot be read")
		}
		pem.Encode(&found, &pem.Block{Type: block.Type, Bytes: block.Bytes})
	}
	if found.Len() == 0 {
		return "", menu.BadArgument("authorities", "The authorities have no certificate").WithHint("Give certificates in PEM, at most 256 KB")
	}
	return found.String(), nil
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

// giveUpOn gives a target that was deleted up, and ends the copies that are under way to it.
func (q *Queue) giveUpOn(target string) {
	q.mu.Lock()
	if q.lost {
		q.deleted[target] = true
	}
	delete(q.pace, target)
	for _, e := range q.queue {
		if e.Target == target && (e.State == capture.ExportPaused || e.Held) {
			again(e) // so that it fails as the others do
		}
	}
	q.mu.Unlock()
	q.interrupt(func(e *capture.Export) bool { return e.Target == target })
}

// ExportSettings returns the bounds of all copies.
func (q *Queue) ExportSettings() capture.ExportSettings {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bounds
}

// SetExportSettings makes the bounds of all copies what edit makes of them, when the disk has them.
func (q *Queue) SetExportSettings(caller menu.Caller, edit func(*capture.ExportSettings)) (capture.ExportSettings, error) {
	q.storing.Lock()
	defer q.storing.Unlock()
	if err := caller.CheckCondition(); err != nil {
		return capture.ExportSettings{}, err
	}
	next := q.ExportSettings()
	edit(&next)
	if err := q.boundsFile.Store(next); err != nil {
		return capture.ExportSettings{}, menu.Failing("keep the settings of copies", err)
	}
	q.mu.Lock()
	q.bounds = next
	q.all.setRate(next.BytesPerSecond)
	q.mu.Unlock()
	q.changed()
	return next, nil
}
