package azure

import (
	"bytes"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"diagsh/capture"
	"diagsh/internal/test/await"
)

// each runs a test with each major version of the client, on a bed of its own.
func each(t *testing.T, test func(*testing.T, *bed, string)) {
	t.Parallel()
	for version := range sdks {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, newBed(t), version)
		})
	}
}

// stored are the properties of a capture whose file goes to the store.
func stored(filters ...filter) properties {
	return properties{Target: machineID, Storage: storage{ID: accountID}, Filters: filters}
}

// A capture with the filters of each of the two documents: what is captured, what is said of it, and what
// stays of it.
func TestLife(t *testing.T) {
	each(t, func(t *testing.T, b *bed, version string) {
		s := newStore(b)
		for name, filters := range map[string][]filter{"PacketCaptureTest": source003, "packetCaptureName": source004} {
			life(t, b.of(t), s, version, name, filters)
		}
	})
}

func life(t *testing.T, b *bed, s *store, version, name string, filters []filter) {
	c := b.sdk(version)
	sent := traffic(uint64(len(filters)))
	before := time.Now().Add(-time.Second)
	made, err := c.create(name, stored(filters...))
	if err != nil {
		t.Fatal(err)
	}
	p := made.Properties
	if made.Name != name || !strings.EqualFold(made.ID, watcherID+"/packetCaptures/"+name) || made.Etag == "" || p.State != "Succeeded" ||
		p.Target != machineID || p.Storage.ID != accountID || p.Storage.File != "" || !slices.Equal(p.Filters, filters) ||
		p.Snap == nil || *p.Snap != 0 || p.Total == nil || *p.Total != 1<<30 || p.Seconds == nil || *p.Seconds != 18000 {
		t.Errorf("made is %+v", made)
	}
	b.isRunning(c, name, before)
	b.send(sent[:len(sent)/2])

	// The same again changes nothing; something else is refused.
	again, err := c.create(name, stored(filters...))
	if err != nil || again.ID != made.ID || again.Properties.Storage != p.Storage {
		t.Errorf("made again it is %+v, %v", again, err)
	}
	_, err = c.create(name, stored(filter{Protocol: "UDP"}))
	refused(t, "another of the same name", err, http.StatusConflict, "PacketCaptureAlreadyExists", name)
	b.isRunning(c, name, before)
	b.send(sent[len(sent)/2:])

	// On the appliance it is an ordinary capture.
	var seen capture.Status
	b.Ask("ro", "packetcapture status", `{"name":"`+name+`"}`, &seen)
	if seen.State != capture.Running || seen.Owner != "op" {
		t.Errorf("the appliance says %+v", seen)
	}

	for n := range 2 { // of one that has ended, too
		if err := c.stop(name); err != nil {
			t.Fatalf("stop %d: %v", n, err)
		}
		if got, err := c.status(name); err != nil || got.State != "Stopped" || got.Reason != "Manual" || len(got.Errors) != 0 {
			t.Errorf("stopped it is %+v, %v", got, err)
		}
	}
	content := s.object(p.Storage.Path)
	if n := exactly(t, content, filters, sent); n == 0 || n == len(sent) {
		t.Errorf("%d of %d frames match, which shows nothing", n, len(sent))
	}
	b.Ask("op", "packetcapture status", `{"name":"`+name+`"}`, &seen)
	if len(seen.Files) != 1 || !bytes.Equal(b.file(seen.Files[0].Name), content) {
		t.Errorf("the object is not the file; %+v", seen.Files)
	}

	found, err := c.list()
	if err != nil || len(found) != 1 || !reflect.DeepEqual(found[0].Properties, p) {
		t.Errorf("the list is %+v, %v; made was %+v", found, err, made)
	}
	if got, err := c.get(name); err != nil || got.Etag == made.Etag || !reflect.DeepEqual(got.Properties, p) {
		t.Errorf("get says %+v, %v; made was %+v", got, err, made)
	}
	if err := c.remove(name); err != nil {
		t.Fatal(err)
	}
	_, err = c.get(name)
	refused(t, "one that is gone", err, http.StatusNotFound, "ResourceNotFound", name)
	if err := c.remove(name); err != nil {
		t.Errorf("remove what is gone: %v", err)
	}
	if found, err := c.list(); err != nil || len(found) != 0 {
		t.Errorf("the list is %+v, %v", found, err)
	}
	if left := s.object(p.Storage.Path); !bytes.Equal(left, content) {
		t.Errorf("the object has %d bytes", len(left))
	}
	b.file(seen.Files[0].Name) // stays as well
}

// isRunning checks that a capture runs since a time.
func (b *bed) isRunning(c sdk, name string, since time.Time) {
	b.t.Helper()
	got, err := c.status(name)
	if err != nil || got.Name != name || got.State != "Running" || got.Reason != "" || len(got.Errors) != 0 || got.Started.Before(since) || got.Started.After(time.Now()) {
		b.t.Errorf("it should run: %+v, %v", got, err)
	}
}

// refused checks an error of a client: its status and code, and what its text has.
func refused(t *testing.T, what string, err error, status int, code, text string) {
	t.Helper()
	var r *azcore.ResponseError
	if !errors.As(err, &r) || r.StatusCode != status || r.ErrorCode != code || !strings.Contains(r.Error(), text) {
		t.Errorf("%s: %v", what, err)
	}
}

// waitFor waits until a capture has ended, for a reason.
func (b *bed) waitFor(c sdk, name, reason string) (s status) {
	b.t.Helper()
	await.Until(b.t, name+" to stop: "+reason, func() bool {
		var err error
		if s, err = c.status(name); err != nil {
			b.t.Fatal(err)
		}
		return s.State == "Stopped"
	})
	if s.Reason != reason || len(s.Errors) != 0 {
		b.t.Errorf("it stopped: %+v", s)
	}
	return s
}

func number(n int64) *int64 { return &n }

// The limits of a capture end it, and it says so; a stop afterwards changes no reason.
func TestLimits(t *testing.T) {
	each(t, func(t *testing.T, b *bed, version string) {
		c := b.sdk(version)
		local := storage{File: "/var/captures/limited.cap"}
		made, err := c.create("seconds", properties{Target: machineID, Storage: local, Seconds: number(1)})
		if err != nil || made.Properties.Seconds == nil || *made.Properties.Seconds != 1 || made.Properties.Storage.File != local.File ||
			made.Properties.Storage.Path != "" || len(made.Properties.Filters) != 0 {
			t.Fatalf("%+v, %v", made, err)
		}
		ended := b.waitFor(c, "seconds", "TimeExceeded")
		if err := c.stop("seconds"); err != nil {
			t.Error(err)
		}
		if got, err := c.status("seconds"); err != nil || !reflect.DeepEqual(got, ended) {
			t.Errorf("stopped after its end it is %+v, %v; it was %+v", got, err, ended)
		}

		const total = 64 << 10
		local.File = "/var/captures/sized.cap"
		if _, err := c.create("size", properties{Target: machineID, Storage: local, Total: number(total), Snap: number(60)}); err != nil {
			t.Fatal(err)
		}
		for n := uint64(0); n < 20; n++ {
			b.send(traffic(n))
		}
		b.waitFor(c, "size", "SizeExceeded")
		var seen capture.Status
		b.Ask("op", "packetcapture status", `{"name":"size"}`, &seen)
		if len(seen.Files) != 1 || seen.Files[0].Bytes > total {
			t.Fatalf("%+v", seen.Files)
		}
		for _, f := range framesOf(t, b.file(seen.Files[0].Name)) {
			if len(f) > 60 {
				t.Fatalf("a packet has %d bytes", len(f))
			}
		}
	})
}

// What a capture may not be is said with the field that is wrong, and leaves nothing.
func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, b *bed, version string) {
		c := b.sdk(version)
		local := storage{File: "/var/captures/x.cap"}
		with := func(f filter) properties {
			return properties{Target: machineID, Storage: local, Filters: []filter{{}, f}}
		}
		for field, p := range map[string]properties{
			"properties.target":                     {Target: groupID + "/providers/Microsoft.Compute/virtualMachines/other", Storage: local},
			"properties.storageLocation":            {Target: machineID},
			"properties.storageLocation.filePath":   {Target: machineID, Storage: storage{File: "/etc/x.cap"}},
			"properties.storageLocation.storageId":  {Target: machineID, Storage: storage{ID: accountID}}, // no such target
			"properties.timeLimitInSeconds":         {Target: machineID, Storage: local, Seconds: number(18001)},
			"properties.bytesToCapturePerPacket":    {Target: machineID, Storage: local, Snap: number(-1)},
			"properties.totalBytesPerSession":       {Target: machineID, Storage: local, Total: number(1 << 32)},
			"properties.filters[1].protocol":        with(filter{Protocol: "ICMP"}),
			"properties.filters[1].localIPAddress":  with(filter{Local: "10.0.0.256"}),
			"properties.filters[1].remoteIPAddress": with(filter{Remote: "1.1.1.1) or (tcp"}),
			"properties.filters[1].localPort":       with(filter{LocalPort: "1-65536"}),
			"properties.filters[1].remotePort":      with(filter{RemotePort: "99999"}),
		} {
			_, err := c.create("refused", p)
			code := "InvalidRequestFormat"
			refused(t, field, err, http.StatusBadRequest, code, field)
			_, err = c.get("refused")
			refused(t, field, err, http.StatusNotFound, "ResourceNotFound", "refused")
		}
		_, err := c.create("-bad", properties{Target: machineID, Storage: local})
		refused(t, "a bad name", err, http.StatusBadRequest, "InvalidResourceName", "-bad")
		_, err = c.status("unknown")
		refused(t, "the status of an unknown one", err, http.StatusNotFound, "ResourceNotFound", "unknown")
		refused(t, "to stop an unknown one", c.stop("unknown"), http.StatusNotFound, "ResourceNotFound", "unknown")
		if err := c.remove("unknown"); err != nil {
			t.Errorf("to remove an unknown one: %v", err)
		}

		reader := b.as("ro").sdk(version)
		_, err = reader.create("refused", properties{Target: machineID, Storage: local})
		refused(t, "a role that may not", err, http.StatusForbidden, "AuthorizationFailed", "")
		if found, err := reader.list(); err != nil || len(found) != 0 {
			t.Errorf("it may read: %+v, %v", found, err)
		}
		stranger := *b
		stranger.token += "x"
		_, err = stranger.sdk(version).list()
		refused(t, "a token that is none", err, http.StatusUnauthorized, "AuthenticationFailed", "")
	})
}

// What was made in the menus is there for clients, and what clients made is there in the menus.
func TestMenus(t *testing.T) {
	each(t, func(t *testing.T, b *bed, version string) {
		c := b.sdk(version)
		b.do("packetcapture start menus interface left filter 'udp port 20'")
		found, err := c.list()
		if err != nil || len(found) != 1 || found[0].Name != "menus" || found[0].Properties.State != "Succeeded" || found[0].Properties.Target != machineID {
			t.Fatalf("the list is %+v, %v", found, err)
		}
		b.isRunning(c, "menus", time.Now().Add(-time.Minute))
		if err := c.stop("menus"); err != nil {
			t.Error(err)
		}
		b.waitFor(c, "menus", "Manual")

		if _, err := c.create("client", properties{Target: machineID, Storage: storage{File: `\var\captures\client.cap`}}); err != nil {
			t.Fatal(err)
		}
		if listed := b.do("packetcapture status"); !strings.Contains(listed, "client") {
			t.Errorf("the menus show %s", listed)
		}
		b.do("packetcapture stop client")
		b.waitFor(c, "client", "Manual")
		b.do("packetcapture delete client confirm yes")
		_, err = c.get("client")
		refused(t, "one that the menus deleted", err, http.StatusNotFound, "ResourceNotFound", "client")
	})
}

// A client that ends while it waits for an operation goes on in another process, also when the appliance
// was killed meanwhile; a login goes on as well.
func TestResume(t *testing.T) {
	each(t, func(t *testing.T, b *bed, version string) {
		first := b.sdk(version, async{})
		later := func() sdk { // of another process
			b.Kill()
			b.Restart()
			return b.sdk(version)
		}
		p := properties{Target: machineID, Storage: storage{File: "/var/captures/resumed.cap"}, Filters: source004}
		token, err := first.beginCreate("resumed", p)
		if err != nil {
			t.Fatal(err)
		}
		c := later()
		if made, err := c.resumeCreate(token); err != nil || made.Name != "resumed" || !slices.Equal(made.Properties.Filters, source004) {
			t.Fatalf("resumed it is %+v, %v", made, err)
		}
		if _, err := c.create("stops", properties{Target: machineID, Storage: storage{File: "/var/captures/stops.cap"}}); err != nil {
			t.Fatal(err)
		}
		first = b.sdk(version, async{})
		if token, err = first.beginStop("stops"); err != nil {
			t.Fatal(err)
		}
		if err := later().resumeStop(token); err != nil {
			t.Error(err)
		}
		first = b.sdk(version, async{})
		if token, err = first.beginRemove("stops"); err != nil {
			t.Fatal(err)
		}
		c = later()
		if err := c.resumeRemove(token); err != nil {
			t.Error(err)
		}
		_, err = c.get("stops")
		refused(t, "what is gone", err, http.StatusNotFound, "ResourceNotFound", "stops")
	})
}
