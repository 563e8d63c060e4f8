package objects

import (
	"errors"
	"maps"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"diagsh/internal/daemon/exports/sending"
)

// A place is what a URL of a target names.
type place struct {
	account string // or access key
	service url.URL
	bucket  string // or container
	prefix  string // of the names of objects, without a slash at its ends; may be empty
	region  string
	path    bool // what the service's name would say is in the path: the bucket of S3, the account of Azure
}

var (
	bucketNames  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[$a-z0-9][a-z0-9._-]{1,62}$`) })
	accountNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[!-9;-~]{1,128}$`) })
	regionNames  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9-]{1,64}$`) })
)

// parse reads the URL of a target, of which options may be given. Its error is for users.
func parse(u *url.URL, form string, options ...string) (place, error) {
	p := place{account: u.User.Username(), service: url.URL{Scheme: "https", Host: u.Host}}
	if !accountNames().MatchString(p.account) {
		return p, errors.New("the account before the @ is missing: " + form)
	}
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if !bucketNames().MatchString(bucket) {
		return p, errors.New("the first part of the path is no name of a bucket or container: " + form)
	}
	p.bucket, p.prefix = bucket, strings.TrimPrefix(path.Clean("/"+prefix), "/")
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return p, errors.New("what follows the ? cannot be read; a token is given by itself, as the secret")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(options, name) || len(query[name]) != 1 {
			return p, errors.New("after the ? stand " + strings.Join(options, ", ") + ", each once; a token is given by itself, as the secret")
		}
	}
	p.region = "us-east-1"
	if region := query.Get("region"); regionNames().MatchString(region) {
		p.region = region
	} else if query.Has("region") {
		return p, errors.New("the region is no name of one")
	}
	switch query.Get("style") {
	case "path":
		p.path = true
	case "virtual":
	case "":
		// An address has no names below it, and neither has this machine's.
		p.path = u.Scheme == "s3" || net.ParseIP(u.Hostname()) != nil || u.Hostname() == "localhost"
		if query.Has("style") {
			return p, errors.New("style is path or virtual")
		}
	default:
		return p, errors.New("style is path or virtual")
	}
	switch query.Get("tls") {
	case "no":
		p.service.Scheme = "http"
	case "yes":
	default:
		if query.Has("tls") {
			return p, errors.New("tls is yes or no")
		}
	}
	return p, nil
}

// key returns the name of the object of a file.
func (p place) key(f sending.File) string { return path.Join(p.prefix, f.Place()) }
