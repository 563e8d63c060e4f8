// Package storage runs object storage for tests: azurite, which speaks as Azure does, and versitygw,
// which speaks as S3 does and compares every sum that it is told. internal/test/packages.sh installs
// both.
package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"diagsh/internal/test/await"
	"diagsh/internal/test/tether"
)

// tools is where internal/test/packages.sh keeps the peers.
const tools = "/var/cache/diagsh-tests/"

// Account is the account, or the access key, that each peer knows.
const Account = "diagshtests"

// Bucket is the bucket or container that each peer has.
const Bucket = "captures"

// A Peer is a storage that runs.
type Peer struct {
	Scheme  string
	Secret  string
	Address string // it speaks HTTP without TLS
	Dir     string // where it keeps what it has

	service *container.Client // of azblob
}

// Options are of a peer.
type Options struct {
	Dir string                // where it keeps what it has; empty: a temporary folder
	Run func(*exec.Cmd) error // starts it, such as in a network namespace; nil: as it is
}

// Azblob runs azurite.
func Azblob(t testing.TB, o Options) *Peer {
	t.Helper()
	p := newPeer(t, "azblob", o)
	script := need(t, tools+"node/node_modules/azurite/dist/src/blob/main.js")
	host, port, _ := net.SplitHostPort(p.Address)
	p.run(t, o, []string{"node", script, "--blobHost", host, "--blobPort", port, "--location", p.Dir, "--silent", "--disableTelemetry",
		"--skipApiVersionCheck"}, "AZURITE_ACCOUNTS="+Account+":"+p.Secret)
	key, err := container.NewSharedKeyCredential(Account, p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	p.service, err = container.NewClientWithSharedKeyCredential("http://"+p.Address+"/"+Account+"/"+Bucket, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.Run == nil {
		p.MakeContainer(t)
	}
	return p
}

// MakeContainer makes the container of an azurite. Who runs it in a network namespace calls it there.
func (p *Peer) MakeContainer(t testing.TB) {
	t.Helper()
	if _, err := p.service.Create(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
}

// S3 runs versitygw.
func S3(t testing.TB, o Options) *Peer {
	t.Helper()
	p := newPeer(t, "s3", o)
	program := need(t, tools+"bin/versitygw")
	if err := os.MkdirAll(filepath.Join(p.Dir, Bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	p.run(t, o, []string{program, "--port", p.Address, "--quiet", "posix", p.Dir}, "ROOT_ACCESS_KEY="+Account, "ROOT_SECRET_KEY="+p.Secret)
	return p
}

// need returns the path of a program. Where it is not installed the test is skipped, but not in CI.
func need(t testing.TB, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not there: internal/test/packages.sh installs it", path)
		}
		t.Skipf("%s is not there: internal/test/packages.sh installs it", path)
	}
	return path
}

func newPeer(t testing.TB, scheme string, o Options) *Peer {
	t.Helper()
	secret := make([]byte, 32)
	rand.Read(secret)
	p := &Peer{Scheme: scheme, Secret: base64.StdEncoding.EncodeToString(secret), Dir: o.Dir}
	if p.Dir == "" {
		p.Dir = t.TempDir()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Address = listener.Addr().String()
	listener.Close()
	return p
}

func (p *Peer) run(t testing.TB, o Options, words []string, environment ...string) {
	t.Helper()
	command, end := tether.Command(t, words[0], words[1:]...)
	log, err := os.Create(filepath.Join(t.TempDir(), "peer.log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), environment...)
	start := o.Run
	if start == nil {
		start = (*exec.Cmd).Start
	}
	if err := start(command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s said: %.2000s", p.Scheme, text)
		}
	})
	if o.Run != nil {
		return
	}
	await.Until(t, "the storage answers", func() bool {
		response, err := http.Get("http://" + p.Address + "/")
		if err == nil {
			response.Body.Close()
		}
		return err == nil
	})
}

// URL returns a folder of the peer at an address as the URL of a target.
func (p *Peer) URL(address, folder, query string) string {
	return fmt.Sprintf("%s://%s@%s/%s/%s%s", p.Scheme, Account, address, Bucket, folder, query)
}

// Sum returns the SHA-256 and the size of an object; "" if there is none.
func (p *Peer) Sum(t testing.TB, name string) (string, int64) {
	t.Helper()
	content, err := p.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0
	}
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, content)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil)), n
}

func (p *Peer) open(name string) (io.ReadCloser, error) {
	if p.service == nil {
		return os.Open(filepath.Join(p.Dir, Bucket, name))
	}
	content, err := p.service.NewBlobClient(name).DownloadStream(context.Background(), nil)
	if err != nil && strings.Contains(err.Error(), "BlobNotFound") {
		return nil, fs.ErrNotExist
	}
	return content.Body, err
}

// Metadata returns what stays beside an object: its content type, and its metadata by names in lower
// case.
func (p *Peer) Metadata(t testing.TB, name string) (contentType string, metadata map[string]string) {
	t.Helper()
	metadata = map[string]string{}
	if p.service == nil {
		there, err := p.bucket().HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: aws.String(Bucket), Key: &name})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(there.ContentType), there.Metadata
	}
	there, err := p.service.NewBlobClient(name).GetProperties(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range there.Metadata {
		metadata[strings.ToLower(name)] = *value
	}
	return *there.ContentType, metadata
}

// Put makes an object in another way than the appliance does.
func (p *Peer) Put(t testing.TB, name string, content []byte) {
	t.Helper()
	if p.service == nil {
		if _, err := p.bucket().PutObject(context.Background(), &s3.PutObjectInput{Bucket: aws.String(Bucket), Key: &name, Body: bytes.NewReader(content)}); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := p.service.NewBlockBlobClient(name).Upload(context.Background(), streaming.NopCloser(bytes.NewReader(content)), nil); err != nil {
		t.Fatal(err)
	}
}

// Begin begins an upload of an object of S3 with a part, as another appliance would, and returns its name.
func (p *Peer) Begin(t testing.TB, name string, part []byte) string {
	t.Helper()
	made, err := p.bucket().CreateMultipartUpload(context.Background(), &s3.CreateMultipartUploadInput{Bucket: aws.String(Bucket), Key: &name})
	if err == nil {
		_, err = p.bucket().UploadPart(context.Background(), &s3.UploadPartInput{Bucket: aws.String(Bucket), Key: &name, UploadId: made.UploadId,
			PartNumber: aws.Int32(1), Body: bytes.NewReader(part)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return *made.UploadId
}

// Uploads returns the names of what was begun of an object of S3, sorted.
func (p *Peer) Uploads(t testing.TB, name string) (list []string) {
	t.Helper()
	begun, err := p.bucket().ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: aws.String(Bucket), Prefix: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range begun.Uploads {
		list = append(list, *u.UploadId)
	}
	slices.Sort(list)
	return list
}

// bucket returns a client of versitygw.
func (p *Peer) bucket() *s3.Client {
	return s3.New(s3.Options{BaseEndpoint: aws.String("http://" + p.Address), Region: "us-east-1", UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: Account, SecretAccessKey: p.Secret}, nil
		})})
}

// SAS returns a signature for the container that ends in so long; negative: it has ended.
func (p *Peer) SAS(t testing.TB, permissions string, end time.Duration) string {
	t.Helper()
	key, err := blob.NewSharedKeyCredential(Account, p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	values, err := sas.BlobSignatureValues{Protocol: sas.ProtocolHTTPSandHTTP, StartTime: time.Now().Add(-24 * time.Hour), ExpiryTime: time.Now().Add(end),
		ContainerName: Bucket, Permissions: permissions}.SignWithSharedKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return values.Encode()
}
