package objects

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"diagsh/internal/daemon/exports/sending"
)

// S3 copies into buckets of S3, and of what speaks as S3 does. Each part and the whole go with their
// CRC-64/NVME, which the service compares. A service that gives no such sum of an object is read
// back.
type S3 struct{ silence time.Duration } // zero: sending.Silence

// mostParts is how many parts an object may be made of.
const mostParts = 10_000

// Scheme implements sending.Sender.
func (S3) Scheme() string { return "s3" }

// Form implements sending.Sender.
func (S3) Form() string { return "s3://KEY@HOST/BUCKET/FOLDER?region=REGION" }

// Check implements sending.Sender.
func (s S3) Check(u *url.URL) error {
	_, err := parse(u, s.Form(), "region", "style", "tls")
	return err
}

// Login implements sending.Sender.
func (S3) Login(_ *url.URL, secret string) string {
	if secret == "" {
		return sending.LoginNone
	}
	return sending.LoginPassword
}

// CheckSecret implements sending.SecretChecker.
func (S3) CheckSecret(secret string) error {
	if secret == "" {
		return errors.New("the secret of a target s3 is the secret key that belongs to the access key in the URL")
	}
	return nil
}

// A transfer is one try to copy a file into an object.
type transfer struct {
	wires   []*wire
	client  *s3.Client
	patient func(*s3.Options) // for what a service may have to think about
	bucket  *string
	key     *string
	secret  string
	f       sending.File
}

func (s S3) open(to sending.Destination, f sending.File) (*transfer, error) {
	p, err := parse(to.URL, s.Form(), "region", "style", "tls")
	if err != nil {
		return nil, sending.Failed(err, "%s", err)
	}
	var answered atomic.Bool
	quick := newWire(to, cmp.Or(s.silence, sending.Silence), &answered)
	slow := newWire(to, max(patience, s.silence), &answered)
	return &transfer{
		wires: []*wire{quick, slow},
		client: s3.New(s3.Options{
			BaseEndpoint: new(p.service.String()), Region: p.region, UsePathStyle: p.path, HTTPClient: quick,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: p.account, SecretAccessKey: to.Secret}, nil
			}),
			// The queue tries again, and says why; a wrong clock is told, not made good.
			Retryer: aws.NopRetryer{}, DisableClockSkewCorrection: true,
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
			ContinueHeaderThresholdBytes: -1, // the wire sees to that
			Logger:                       logging.Nop{}, DisableLogOutputChecksumValidationSkipped: true,
		}),
		patient: func(o *s3.Options) { o.HTTPClient = slow },
		bucket:  &p.bucket, key: new(p.key(f)), secret: to.Secret, f: f,
	}, nil
}

func (t *transfer) close() {
	for _, w := range t.wires {
		w.CloseIdleConnections()
	}
}

// Send implements sending.Sender.
func (s S3) Send(ctx context.Context, to sending.Destination, f sending.File, sent sending.Progress) error {
	t, err := s.open(to, f)
	if err != nil {
		return err
	}
	defer t.close()
	there, err := t.look(ctx)
	if err != nil {
		return err
	}
	if there != nil {
		return t.compare(ctx, there, sent)
	}
	sum, err := t.put(ctx, sent)
	if refused, is := refusalOf(err); is && (refused.status == http.StatusPreconditionFailed || refused.status == http.StatusConflict) {
		there, err := t.look(ctx)
		if err != nil || there == nil {
			return cmp.Or(err, refused.explain(t.secret, nil))
		}
		return t.compare(ctx, there, sent) // It came there meanwhile, or the answer to an earlier try was lost.
	}
	if err != nil {
		return t.explain(ctx, err)
	}
	if there, err = t.look(ctx); err != nil {
		return err
	}
	if same, err := t.same(ctx, there, sum); err != nil || !same {
		return cmp.Or(err, notTheFile())
	}
	sent(f.Bytes)
	return nil
}

// put makes the object, and returns the CRC-64/NVME of the file. Its error may be a refusal.
func (t *transfer) put(ctx context.Context, sent sending.Progress) (string, error) {
	sent(0)
	if t.f.Bytes > piece {
		return t.parts(ctx, sent)
	}
	r := s3Reading(t.f)
	p, more, err := r.part(ctx)
	if more {
		_, _, err = r.part(ctx) // compares the sum of the whole
	} else if err == nil {
		p = part{sha256: r.sha256.Sum(nil)}
	}
	if err != nil {
		return "", err
	}
	sum := crcText(p.crc64)
	_, err = t.client.PutObject(signed(ctx, p), &s3.PutObjectInput{Bucket: t.bucket, Key: t.key, Body: r.body(p), ContentLength: &p.bytes,
		ChecksumCRC64NVME: &sum, ContentType: t.contentType(), Metadata: metadata(t.f), IfNoneMatch: new("*")})
	return sum, err
}

func (t *transfer) contentType() *string { return new(cmp.Or(t.f.ContentType, sending.PacketsType)) }

// parts sends the parts that the service does not have yet, and makes the object of them.
func (t *transfer) parts(ctx context.Context, sent sending.Progress) (string, error) {
	upload, there, err := t.begun(ctx)
	if err != nil {
		return "", err
	}
	var all []types.CompletedPart
	r := s3Reading(t.f)
	for {
		p, more, err := r.part(ctx)
		if err != nil {
			return "", err
		}
		if !more {
			break
		}
		number, sum := int32(p.number+1), crcText(p.crc64)
		etag := there[number].etag
		if had := there[number]; had.bytes != p.bytes || had.sum != sum {
			done, err := t.client.UploadPart(signed(ctx, p), &s3.UploadPartInput{Bucket: t.bucket, Key: t.key, UploadId: &upload, PartNumber: &number,
				Body: r.body(p), ContentLength: &p.bytes, ChecksumCRC64NVME: &sum})
			if err != nil {
				return "", err
			}
			etag = aws.ToString(done.ETag)
		}
		all = append(all, types.CompletedPart{PartNumber: &number, ETag: &etag, ChecksumCRC64NVME: &sum})
		sent(p.at + p.bytes)
	}
	whole := crcText(r.crc64.Sum64())
	_, err = t.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: t.bucket, Key: t.key, UploadId: &upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: all}, ChecksumCRC64NVME: &whole, ChecksumType: types.ChecksumTypeFullObject,
		MpuObjectSize: &t.f.Bytes, IfNoneMatch: new("*")}, t.patient)
	return whole, err
}

// A hadPart is a part that the service has.
type hadPart struct {
	bytes     int64
	sum, etag string
}

// begun returns the upload that an earlier try began, and the parts that the service has of it; or begins
// one. One of ours that is of another file, whose sum it would leave beside this one, ends. Uploads that
// others began of the object are theirs.
func (t *transfer) begun(ctx context.Context) (string, map[int32]hadPart, error) {
	sum, upload, _ := strings.Cut(t.f.Upload, " ")
	switch {
	case upload == "":
	case sum == t.f.Sum:
		if there, err := t.partsOf(ctx, upload); err != nil || there != nil {
			return upload, there, err
		}
	default:
		_, err := t.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: t.bucket, Key: t.key, UploadId: &upload})
		if _, refused := refusalOf(err); err != nil && !refused { // who may not end it can begin another one
			return "", nil, err
		}
	}
	made, err := t.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: t.bucket, Key: t.key, ContentType: t.contentType(),
		Metadata: metadata(t.f), ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme, ChecksumType: types.ChecksumTypeFullObject})
	if err != nil {
		return "", nil, err
	}
	if upload = aws.ToString(made.UploadId); t.f.Begun != nil {
		t.f.Begun(t.f.Sum + " " + upload)
	}
	return upload, nil, nil
}

// partsOf lists the parts of an upload; nil if it is over.
func (t *transfer) partsOf(ctx context.Context, upload string) (map[int32]hadPart, error) {
	there := map[int32]hadPart{}
	var after *string
	for range mostParts/1000 + 1 { // a page has a thousand
		list, err := t.client.ListParts(ctx, &s3.ListPartsInput{Bucket: t.bucket, Key: t.key, UploadId: &upload, PartNumberMarker: after})
		if refused, is := refusalOf(err); is && refused.code == "NoSuchUpload" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, p := range list.Parts {
			there[aws.ToInt32(p.PartNumber)] = hadPart{aws.ToInt64(p.Size), aws.ToString(p.ChecksumCRC64NVME), aws.ToString(p.ETag)}
		}
		if !aws.ToBool(list.IsTruncated) {
			break
		}
		after = list.NextPartNumberMarker
	}
	return there, nil
}

// look asks for the object; nil if there is none.
func (t *transfer) look(ctx context.Context) (*s3.HeadObjectOutput, error) {
	there, err := t.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: t.bucket, Key: t.key, ChecksumMode: types.ChecksumModeEnabled}, t.patient)
	if refused, is := refusalOf(err); is && refused.status == http.StatusNotFound && refused.code != "NoSuchBucket" {
		return nil, nil
	}
	if err != nil {
		return nil, t.explain(ctx, t.reason(ctx, err))
	}
	return there, nil
}

// reason returns why the service refused to tell of an object: the answer to HEAD has no body, in
// which it would say so, but that to a list has one. It returns err if that tells no more.
func (t *transfer) reason(ctx context.Context, err error) error {
	if refused, is := refusalOf(err); !is || refused.status >= 500 || refused.status == http.StatusTooManyRequests {
		return err
	}
	_, why := t.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: t.bucket, Prefix: t.key, MaxUploads: new(int32(1))})
	if refused, is := refusalOf(why); is && refused.code != "" {
		return why
	}
	return err
}

// compare returns nil if the object that is there is the file already.
func (t *transfer) compare(ctx context.Context, there *s3.HeadObjectOutput, sent sending.Progress) error {
	if aws.ToInt64(there.ContentLength) != t.f.Bytes {
		return anotherFile()
	}
	r := s3Reading(t.f)
	for more := true; more; {
		var err error
		if _, more, err = r.part(ctx); err != nil {
			return err
		}
	}
	same, err := t.same(ctx, there, crcText(r.crc64.Sum64()))
	if err != nil {
		return err
	}
	if !same {
		return anotherFile()
	}
	sent(t.f.Bytes)
	return nil
}

// same reports whether an object is the file whose CRC-64/NVME is given: by the service's own sum of
// the whole, or by reading it back.
func (t *transfer) same(ctx context.Context, there *s3.HeadObjectOutput, sum string) (bool, error) {
	if there == nil || aws.ToInt64(there.ContentLength) != t.f.Bytes {
		return false, nil
	}
	if theirs := aws.ToString(there.ChecksumCRC64NVME); theirs != "" && there.ChecksumType != types.ChecksumTypeComposite {
		return theirs == sum, nil
	}
	object, err := t.client.GetObject(readingBack(ctx, t.f.Bytes), &s3.GetObjectInput{Bucket: t.bucket, Key: t.key})
	if err != nil {
		return false, t.explain(ctx, err)
	}
	defer object.Body.Close()
	same, err := sameContent(object.Body, t.f)
	if err != nil {
		return false, t.explain(ctx, err)
	}
	return same, nil
}

// explain returns the error of a request, for users.
func (t *transfer) explain(ctx context.Context, err error) error {
	if refused, is := refusalOf(err); is && ctx.Err() == nil {
		return refused.explain(t.secret, err)
	}
	return t.wires[0].lost(ctx, err)
}

// refusalOf returns what a service said.
func refusalOf(err error) (refusal, bool) {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil || answer.HTTPStatusCode() == 0 { // 0: there was no answer
		return refusal{}, false
	}
	r := refusal{status: answer.HTTPStatusCode(), header: answer.Response.Header}
	var said smithy.APIError
	if errors.As(err, &said) {
		r.code = said.ErrorCode()
	}
	return r, true
}

// signed returns a context for a request whose signature covers the part, by the sum that is known.
func signed(ctx context.Context, p part) context.Context {
	return v4.SetPayloadHash(ctx, hex.EncodeToString(p.sha256))
}

// crcText returns a CRC-64/NVME as S3 has it in headers.
func crcText(crc uint64) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc))
}
