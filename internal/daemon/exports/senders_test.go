package exports

import (
	"testing"

	"diagsh/internal/daemon/exports/sending"
)

func TestParseURL(t *testing.T) {
	for _, wrong := range []string{"", "x", "ftp://a/b", "http://a/b", "sftp://host/folder", "sftp://user:secret@host/folder",
		"https://u:p@host/x", "https://host:0/x", "https://host:65536/x", "https:///x", "sftp://a@/b", "https://h/x#y", "https://h/x?sig=y", "https://h\x00/", "sftp://backup@aא.example/", "azblob://host/c01", "azblob://a@host/c01?x=y", "s3://a:b@host/c01", "s3://a@host/c01#x"} {
		if _, _, err := parseURL(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	for right, login := range map[string][2]string{ // without and with a secret
		"sftp://user@host/folder":                                 {sending.LoginKey, sending.LoginPassword},
		"sftp://user@[2001:db8::1]:2222/":                         {sending.LoginKey, sending.LoginPassword},
		"azblob://lab@lab.blob.core.windows.net/captures/x":       {sending.LoginNone, sending.LoginPassword},
		"s3://AKIA@host:9000/captures?region=eu-central-1&tls=no": {sending.LoginNone, sending.LoginPassword},
		"https://host/folder":                                     {sending.LoginNone, sending.LoginToken},
		"https://user@host:8443/a/b":                              {sending.LoginNone, sending.LoginPassword},
	} {
		u, s, err := parseURL(right)
		if err != nil {
			t.Errorf("%q: %v", right, err)
			continue
		}
		if got := [2]string{s.Login(u, ""), s.Login(u, "x")}; got != login {
			t.Errorf("%q logs in by %q, not by %q", right, got, login)
		}
	}
}
