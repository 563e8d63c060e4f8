package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netconftest"
	"diagsh/internal/test/roomtest"
)

// pend makes a new certificate a user's pending one.
func pend(t *testing.T, d *Daemon, name string) (fingerprint string) {
	t.Helper()
	one, err := d.NewCertificate([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	err = d.EditConfiguration(roomtest.Admin, func(document config.Document) error {
		document.Set(config.Certificate, one.Setting)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return one.Fingerprint
}

// A certificate is committed as other settings are: it holds with the commit, goes with a commit that
// nobody confirms, comes back by a rollback, and the warning about its names is in the view.
func TestCertificatesAreCommitted(t *testing.T) {
	o := Options{Dir: roomtest.DataDir(t), network: netconftest.NewFake()}
	d := start(t, o)
	own := d.CertificateFingerprint()
	first := pend(t, d, "a.example.com")
	if d.CertificateFingerprint() != own {
		t.Error("what is pending holds already")
	}
	if w := d.Configuration(roomtest.Admin).Warnings; len(w) != 1 || !strings.Contains(w[0].Text, "is not for this host") {
		t.Errorf("the warnings are %v", w)
	}
	if _, err := d.CommitConfiguration(roomtest.Admin, config.Request{}); err != nil {
		t.Fatal(err)
	}
	if d.CertificateFingerprint() != first {
		t.Error("what is committed does not hold")
	}
	second := pend(t, d, "b.example.com")
	if _, err := d.CommitConfiguration(roomtest.Admin, config.Request{Confirm: time.Second}); err != nil || d.CertificateFingerprint() != second {
		t.Fatalf("%v, %s is shown", err, d.CertificateFingerprint())
	}
	await.Until(t, "the commit to be rolled back", func() bool { return d.CertificateFingerprint() == first })
	if err := d.RestoreCommit(roomtest.Admin, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CommitConfiguration(roomtest.Admin, config.Request{}); err != nil || d.CertificateFingerprint() != second {
		t.Errorf("brought back: %v, %s is shown", err, d.CertificateFingerprint())
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := start(t, o); again.CertificateFingerprint() != second {
		t.Error("a restart shows another one")
	}
}

// Whenever the appliance is killed between the writing of a pair and its use, the next start shows a
// whole one: what was committed last, or is being committed.
func TestKillWhileCertificatesAreCommitted(t *testing.T) {
	dir := roomtest.DataDir(t)
	for range 4 {
		v := startVictim(t, nil, "certificates", dir)
		var committed string
		for range 12 {
			switch word, value, _ := strings.Cut(v.hear(), " "); word {
			case "committed":
				committed = value
			case "failed":
				t.Fatal(value)
			}
		}
		v.kill()
		d := start(t, Options{Dir: dir})
		if text := d.certificatesRoom.Notice(roomtest.Admin); text != "" {
			t.Errorf("after the kill administrators are told %q", text)
		}
		shown, wanted := d.CertificateFingerprint(), d.RunningDocument()[config.Certificate]
		if shown != wanted {
			t.Errorf("%s is shown and %s committed", shown, wanted)
		}
		// The child may have committed another one and been killed before it said so.
		if before := d.Commits(); committed != wanted && before[0].Changes[0].Before != committed {
			t.Errorf("what was promised, %s, does not hold: %s does", committed, wanted)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// commitCertificates is what the child does that is killed.
func commitCertificates(d *Daemon) {
	for {
		one, err := d.NewCertificate(nil)
		if err == nil {
			fmt.Println("made", one.Fingerprint)
			err = d.EditConfiguration(roomtest.Admin, func(document config.Document) error {
				document.Set(config.Certificate, one.Setting)
				return nil
			})
		}
		if err == nil {
			_, err = d.CommitConfiguration(roomtest.Admin, config.Request{})
		}
		if err != nil {
			fmt.Println("failed", err)
			return
		}
		fmt.Println("committed", one.Fingerprint)
	}
}

// The next owner of an appliance that was reset has no key of the last one's.
func TestFactoryValuesForgetCertificates(t *testing.T) {
	o := Options{Dir: roomtest.DataDir(t), network: netconftest.NewFake()}
	d := start(t, o)
	own := d.CertificateFingerprint()
	pend(t, d, "owner.example.com")
	if _, err := d.CommitConfiguration(roomtest.Admin, config.Request{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RequestCertificate([]string{"request.example.com"}, "ecdsa"); err != nil {
		t.Fatal(err)
	}
	lost, err := d.ReloadLosses(false)
	if err != nil || !strings.Contains(fmt.Sprint(lost), "CN=owner.example.com; a request for request.example.com") {
		t.Errorf("what will be lost is %v, %v", lost, err)
	}
	if _, err := d.Reload(roomtest.Admin, false); err != nil {
		t.Fatal(err)
	}
	if d.CertificateFingerprint() != own {
		t.Error("the owner's certificate is still shown")
	}
	if left, err := os.ReadDir(filepath.Join(o.Dir, "certificates")); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
	err = d.RestoreCommit(roomtest.Admin, 1)
	if err == nil || !strings.Contains(err.Error(), "install it again") {
		t.Errorf("the owner's configuration: %v", err)
	}
	roomtest.WantCode(t, err, menu.Usage)
}
