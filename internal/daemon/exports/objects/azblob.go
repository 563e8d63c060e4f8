package objects

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"diagsh/internal/daemon/exports/sending"
)

// Azblob copies into block blobs of Azure, and of what speaks as Azure does. The name of a block has
// its SHA-256, and the service compares its MD5 as it comes: a list of blocks is proof of what they
// are.
type Azblob struct{ silence time.Duration } // zero: sending.Silence

// mostBlocks is how many blocks a blob may have.
const mostBlocks = 50_000

// Scheme implements sending.Sender.
func (Azblob) Scheme() string { return "azblob" }

// Form implements sending.Sender.
func (Azblob) Form() string { return "azblob://ACCOUNT@HOST/CONTAINER/FOLDER" }

// Check implements sending.Sender.
func (s Azblob) Check(u *url.URL) error {
	_, err := parse(u, s.Form(), "style", "tls")
	return err
}

// Login implements sending.Sender.
func (Azblob) Login(_ *url.URL, secret string) string {
	switch _, sas := sasOf(secret); {
	case secret == "":
		return sending.LoginNone
	case sas:
		return sending.LoginToken
	}
	return sending.LoginPassword
}

// CheckSecret implements sending.SecretChecker.
func (Azblob) CheckSecret(secret string) error {
	if _, sas := sasOf(secret); sas {
		return nil
	}
	if _, err := base64.StdEncoding.DecodeString(secret); err != nil || secret == "" {
		return errors.New("the secret of a target azblob is a key of the account, or a SAS that allows read, create and write")
	}
	return nil
}

// sasOf returns the members of a SAS, and whether a secret is one.
func sasOf(secret string) (url.Values, bool) {
	if !strings.Contains(secret, "sig=") {
		return nil, false
	}
	sas, err := url.ParseQuery(strings.TrimPrefix(secret, "?"))
	return sas, err == nil && sas.Get("sig") != ""
}

// An upload is one try to copy a file into a blob.
type upload struct {
	wires   []*wire
	quick   *blockblob.Client
	patient *blockblob.Client // for what a service may have to think about
	secret  string
	f       sending.File
}

func (s Azblob) open(to sending.Destination, f sending.File) (*upload, error) {
	p, err := parse(to.URL, s.Form(), "style", "tls")
	if err != nil {
		return nil, sending.Failed(err, "%s", err)
	}
	at := p.service
	if p.path {
		at.Path = "/" + p.account
	}
	// The segments of a name keep their slashes: some services do not read them escaped.
	at = *at.JoinPath(append([]string{p.bucket}, strings.Split(url.PathEscape(p.key(f)), "%2F")...)...)
	u := &upload{secret: to.Secret, f: f}
	var answered atomic.Bool
	for _, silence := range []time.Duration{cmp.Or(s.silence, sending.Silence), max(patience, s.silence)} {
		w := newWire(to, silence, &answered)
		u.wires = append(u.wires, w)
		options := &blockblob.ClientOptions{ClientOptions: policy.ClientOptions{Transport: w, Retry: policy.RetryOptions{MaxRetries: -1},
			Telemetry: policy.TelemetryOptions{Disabled: true}}}
		client, err := newBlob(at, p.account, to.Secret, options)
		if err != nil {
			return nil, sending.Unreachable(err, "the key of the target is none")
		}
		u.quick, u.patient = cmp.Or(u.quick, client), client
	}
	return u, nil
}

func newBlob(at url.URL, account, secret string, options *blockblob.ClientOptions) (*blockblob.Client, error) {
	if _, sas := sasOf(secret); sas {
		at.RawQuery = strings.TrimPrefix(secret, "?")
		return blockblob.NewClientWithNoCredential(at.String(), options)
	}
	if secret == "" {
		return blockblob.NewClientWithNoCredential(at.String(), options)
	}
	key, err := blob.NewSharedKeyCredential(account, secret)
	if err != nil {
		return nil, err
	}
	return blockblob.NewClientWithSharedKeyCredential(at.String(), key, options)
}

func (u *upload) close() {
	for _, w := range u.wires {
		w.CloseIdleConnections()
	}
}

// Send implements sending.Sender.
func (s Azblob) Send(ctx context.Context, to sending.Destination, f sending.File, sent sending.Progress) error {
	u, err := s.open(to, f)
	if err != nil {
		return err
	}
	defer u.close()
	there, err := u.quick.GetProperties(ctx, nil)
	switch {
	case err == nil:
		return u.compare(ctx, there.ContentLength, sent)
	case isStatus(err, http.StatusNotFound) && codeOf(err) != "ContainerNotFound":
	default:
		return u.explain(ctx, err)
	}
	ids, err := u.stage(ctx, sent)
	if err != nil {
		return err
	}
	anew := azcore.ETagAny
	_, err = u.patient.CommitBlockList(ctx, ids.names, &blockblob.CommitBlockListOptions{
		HTTPHeaders:      &blob.HTTPHeaders{BlobContentType: new(cmp.Or(f.ContentType, sending.PacketsType)), BlobContentMD5: ids.md5},
		Metadata:         pointers(metadata(f)),
		AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &anew}},
	})
	switch {
	case isStatus(err, http.StatusConflict), isStatus(err, http.StatusPreconditionFailed):
		return u.compare(ctx, nil, sent) // It came there meanwhile, or the answer to an earlier try was lost.
	case err != nil:
		return u.explain(ctx, err)
	}
	if proven, err := u.has(ctx, ids); err != nil || !proven {
		return cmp.Or(err, notTheFile())
	}
	sent(f.Bytes)
	return nil
}

// blocks are the blocks of a file.
type blocks struct {
	names []string
	sizes []int64
	md5   []byte // of the whole file
}

func (b *blocks) add(p part) string {
	name := base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, uint32(p.number)), p.sha256...))
	b.names, b.sizes = append(b.names, name), append(b.sizes, p.bytes)
	return name
}

// stage sends the blocks that the service does not have yet.
func (u *upload) stage(ctx context.Context, sent sending.Progress) (blocks, error) {
	list, err := u.quick.GetBlockList(ctx, blockblob.BlockListTypeUncommitted, nil)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		return blocks{}, u.explain(ctx, err)
	}
	there := map[string]int64{}
	for _, b := range list.UncommittedBlocks {
		if b != nil && b.Name != nil && b.Size != nil {
			there[*b.Name] = *b.Size
		}
	}
	var ids blocks
	sent(0)
	for r := azureReading(u.f); ; {
		p, more, err := r.part(ctx)
		if err != nil {
			return blocks{}, err
		}
		if !more {
			ids.md5 = r.md5.Sum(nil)
			return ids, nil
		}
		if name := ids.add(p); there[name] != p.bytes {
			_, err := u.quick.StageBlock(ctx, name, r.body(p), &blockblob.StageBlockOptions{TransactionalValidation: blob.TransferValidationTypeMD5(p.md5)})
			if err != nil {
				return blocks{}, u.explain(ctx, err)
			}
		}
		sent(p.at + p.bytes)
	}
}

// has reports whether the blob is made of these blocks.
func (u *upload) has(ctx context.Context, ids blocks) (bool, error) {
	list, err := u.patient.GetBlockList(ctx, blockblob.BlockListTypeCommitted, nil)
	if err != nil {
		return false, u.explain(ctx, err)
	}
	if len(list.CommittedBlocks) != len(ids.names) {
		return false, nil
	}
	for i, b := range list.CommittedBlocks {
		if b == nil || b.Name == nil || b.Size == nil || *b.Name != ids.names[i] || *b.Size != ids.sizes[i] {
			return false, nil
		}
	}
	return true, nil
}

// compare returns nil if the blob that is there is the file already. What made it in other blocks is
// read back.
func (u *upload) compare(ctx context.Context, bytes *int64, sent sending.Progress) error {
	if bytes != nil && *bytes != u.f.Bytes {
		return anotherFile()
	}
	var ids blocks
	for r := azureReading(u.f); ; {
		p, more, err := r.part(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		ids.add(p)
	}
	same, err := u.has(ctx, ids)
	if err != nil {
		return err
	}
	if !same {
		if same, err = u.readBack(ctx); err != nil {
			return err
		}
	}
	if !same {
		return anotherFile()
	}
	sent(u.f.Bytes)
	return nil
}

func (u *upload) readBack(ctx context.Context) (bool, error) {
	content, err := u.quick.DownloadStream(readingBack(ctx, u.f.Bytes), nil)
	if err != nil {
		return false, u.explain(ctx, err)
	}
	defer content.Body.Close()
	same, err := sameContent(content.Body, u.f)
	if err != nil {
		return false, u.explain(ctx, err)
	}
	return same, nil
}

// explain returns the error of a request, for users.
func (u *upload) explain(ctx context.Context, err error) error {
	var refused *azcore.ResponseError
	if ctx.Err() == nil && errors.As(err, &refused) && refused.RawResponse != nil {
		return refusal{refused.StatusCode, refused.ErrorCode, refused.RawResponse.Header}.explain(u.secret, err)
	}
	return u.wires[0].lost(ctx, err)
}

func isStatus(err error, status int) bool {
	var refused *azcore.ResponseError
	return errors.As(err, &refused) && refused.StatusCode == status
}

func codeOf(err error) string {
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) {
		return ""
	}
	return refused.ErrorCode
}

func pointers(list map[string]string) map[string]*string {
	all := map[string]*string{}
	for name, value := range list {
		all[name] = &value
	}
	return all
}
