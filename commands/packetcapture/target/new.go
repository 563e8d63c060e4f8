package target

import (
	"context"
	"strings"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type newArgs struct {
	Name    string      `arg:"name,positional:1,required" ask:"Name of the target" help:"Name of the new target."`
	URL     string      `arg:"url,positional:2,required" label:"URL" ask:"Where, such as sftp://user@host/folder, https://host/folder, azblob://account@host/container or s3://key@host/bucket" help:"A URL: sftp://USER@HOST[:PORT]/FOLDER, below the user's own folder with /~/FOLDER, or https://[USER@]HOST[:PORT]/FOLDER; object storage as azblob://ACCOUNT@HOST/CONTAINER/FOLDER or s3://KEY@HOST/BUCKET/FOLDER?region=REGION, where style=path or style=virtual says how the account or the bucket is named, and tls=no speaks HTTP without TLS."`
	HostKey string      `arg:"hostkey,bound" label:"Host key" ask:"Fingerprint of the host's key (SHA256:...); Enter to ask the host, or for HTTPS to trust authorities" help:"Fingerprint of the only key that the host may have, SHA256:...; without it a host of SFTP is asked for its key, and it must be given then."`
	Secret  menu.Secret `arg:"secret" ask:"Password, token or key; Enter for none, with SFTP for the appliance's own key" help:"Password, or for HTTPS without a user a token; for azblob a key of the account, or a SAS that allows read, create and write; for s3 the secret key. Without it the appliance logs in at SFTP by its own key, which target list shows."`
	Auto    bool        `arg:"auto" default:"no" ask:"Copy every capture there as it closes?" help:"Say yes and every file of a capture is copied there as it closes."`
	wayArgs
	Manifest bool `arg:"manifest" default:"yes" help:"After the files of a capture, copy a list of them there: capture, case, filter, and of each file its size, packets, SHA-256 and place."`
}

// wayArgs are how a target is reached, and where files go there.
type wayArgs struct {
	Proxy          string      `arg:"proxy,bound" help:"A proxy that the target is reached through: http://[USER@]HOST:PORT or socks5://[USER@]HOST:PORT; NONE for none."`
	ProxySecret    menu.Secret `arg:"proxysecret" label:"Password of the proxy" help:"Password of the user at the proxy."`
	Authorities    menu.Text   `arg:"authorities" help:"Certificates in PEM that vouch for the target, in the place of those that the machine trusts; NONE for those."`
	Template       string      `arg:"template,bound" label:"Place of files" help:"Where below the folder files go, such as {yyyy}/{mm}/{capture}/{file}; words in braces are host, capture, case, file, name, ext, and yyyy mm dd HH MM SS of the capture's start; NONE for the names of the files."`
	BytesPerSecond int64       `arg:"bytespersecond,size,zero" label:"Bytes per second" min:"1024" help:"How many bytes a second the copies to it may take together, such as 2MB; 0 for no limit."`
}

// cleared returns a text, "" for the word that takes it back.
func cleared(text string) string {
	if strings.EqualFold(strings.TrimSpace(text), "NONE") {
		return ""
	}
	return text
}

func newCommand(s Service) *menu.Command {
	return menu.Decl[newArgs, capture.Target]{
		Name: "new",
		Help: "Add a target.",
		Details: "With auto yes each file is copied as it closes, those of rings while the capture runs. A file " +
			"that waits for its copy is deleted only by a user: not by its ring, which then has more files " +
			"than it keeps, and not by retention. If the target is away or slower than the capture for too long, " +
			"the quota or the reserve of the disk ends the capture with the reason DiskLow, and nothing is " +
			"lost that was captured before.",
		Role:      menu.Administrator,
		Resources: []menu.Resource{{Method: "POST", Path: "targets", Status: 201, Location: "targets/{name}"}},
		Shape:     menu.Object,
		Run: func(ctx context.Context, caller menu.Caller, a newArgs, out *menu.Out[capture.Target]) error {
			t, err := s.AddTarget(ctx, caller,
				capture.Target{Name: a.Name, URL: a.URL, HostKey: a.HostKey, Auto: a.Auto, Manifest: a.Manifest,
					Proxy: cleared(a.Proxy), ProxySecret: string(a.ProxySecret), Authorities: cleared(string(a.Authorities)),
					Template: cleared(a.Template), BytesPerSecond: a.BytesPerSecond}, a.Secret)
			if err != nil {
				return err
			}
			if err := out.Record(t); err != nil {
				return err
			}
			return sayKey(s, []capture.Target{t}, out)
		},
		Text: captures.Target,
	}.Command()
}

// sayKey shows the appliance's own public key if a target needs it.
func sayKey(s Service, targets []capture.Target, out *menu.Out[capture.Target]) error {
	for _, t := range targets {
		if t.Login != "key" {
			continue
		}
		key, err := s.ExportKey()
		if err != nil {
			return err
		}
		return out.Printf("The appliance logs in by its own key; the host must know it:\n%s\n", key)
	}
	return nil
}
