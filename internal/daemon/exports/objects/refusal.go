package objects

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"diagsh/internal/daemon/exports/sending"
)

// A refusal is what a storage said instead of doing what it was asked for. Users are told what it
// means in words of ours, because its own are a stranger's.
type refusal struct {
	status int
	code   string // one of the words that the storage's API lists
	header http.Header
}

// mostSkew is how much two clocks may differ before that is why a storage refuses a request. S3
// and Azure allow 15 minutes; of a difference beyond this a user should know in any case.
const mostSkew = 5 * time.Minute

// full are the codes of storage that has no room left.
var full = map[string]bool{"QuotaExceeded": true, "XMinioStorageFull": true, "InsufficientStorage": true, "StorageFull": true}

// lost returns the error of a request that a storage did not answer.
func (w *wire) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var known *sending.Error
	if errors.As(err, &known) {
		return err
	}
	if w.answered.Load() {
		return w.First(sending.Failed(err, "the connection to the target broke off"))
	}
	return w.Lost(err)
}

// explain returns the error of a refusal. secret is what the appliance has shown.
func (r refusal) explain(secret string, err error) error {
	theirs, dated := http.ParseTime(r.header.Get("Date"))
	skew := time.Since(theirs)
	wrongClock := dated == nil && (skew > mostSkew || skew < -mostSkew)
	switch {
	case r.status == http.StatusTooManyRequests, r.status == http.StatusServiceUnavailable:
		return &sending.Error{Text: fmt.Sprintf("the target takes no file now: HTTP status %d", r.status), Unreachable: true,
			RetryAfter: sending.RetryAfter(r.header, time.Now()), Cause: err}
	case r.code == "RequestTimeTooSkewed", (r.status == http.StatusForbidden || r.status == http.StatusUnauthorized) && wrongClock:
		return clockError(skew, err)
	case r.status == http.StatusForbidden || r.status == http.StatusUnauthorized:
		return refusedSecret(r, secret, err)
	case r.code == "InvalidAccessKeyId", r.code == "SignatureDoesNotMatch", r.code == "XAdminUserNotFound": // the last of versitygw
		return sending.Unreachable(err, "the target refuses the key: HTTP status %d", r.status)
	case r.code == "NoSuchBucket", r.code == "ContainerNotFound":
		return sending.Unreachable(err, "the target has no bucket or container of the name in the URL")
	case r.code == "PermanentRedirect", r.status == http.StatusMovedPermanently, r.code == "AuthorizationHeaderMalformed":
		return sending.Unreachable(err, "the bucket is in another region than the URL says: HTTP status %d", r.status)
	case r.status == http.StatusInsufficientStorage, full[r.code]:
		return sending.Unreachable(err, "the target is full: HTTP status %d", r.status)
	case r.code == "BadDigest", r.code == "Md5Mismatch", r.code == "XAmzContentSHA256Mismatch", r.code == "XAmzContentChecksumMismatch":
		return sending.Failed(err, "a part of the file came to the target with another sum than it was sent with")
	case r.status >= 500:
		return sending.Failed(err, "the target has a fault of its own, or is full: HTTP status %d", r.status)
	}
	return sending.Failed(err, "the target refuses the file: HTTP status %d", r.status)
}

// clockError says by how much the clock of the appliance is wrong, or that of the target.
func clockError(skew time.Duration, err error) error {
	way := "ahead of"
	if skew < 0 {
		way, skew = "behind", -skew
	}
	if skew < mostSkew { // its answer may be old
		return sending.Unreachable(err, "the target refuses the time of the request: compare the clocks")
	}
	return sending.Unreachable(err, "the clock of the appliance is %s %s that of the target, which refuses its requests", skew.Round(time.Second), way)
}

// refusedSecret says what may be wrong with a key or a SAS.
func refusedSecret(r refusal, secret string, err error) error {
	sas, is := sasOf(secret)
	switch {
	case is && expired(sas):
		return sending.Unreachable(err, "the SAS of the target has expired: HTTP status %d", r.status)
	case r.code == "AuthorizationPermissionMismatch":
		return sending.Unreachable(err, "the SAS of the target must allow read, create and write: HTTP status %d", r.status)
	case is:
		return sending.Unreachable(err, "the target refuses the SAS: HTTP status %d", r.status)
	case r.code == "AccessDenied", r.code == "InsufficientAccountPermissions":
		return sending.Unreachable(err, "the key may not do this at the target: HTTP status %d", r.status)
	}
	return sending.Unreachable(err, "the target refuses the key: HTTP status %d", r.status)
}

// expired reports whether the time of a SAS is over.
func expired(sas url.Values) bool {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04Z", time.DateOnly} {
		if end, err := time.Parse(form, sas.Get("se")); err == nil {
			return time.Now().After(end)
		}
	}
	return false
}
