package azure

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// A sdk is armnetwork's client of packet captures, of one major version, with the members as they are on
// the wire. A begin method returns the token by which another process goes on waiting.
type sdk interface {
	create(name string, p properties) (resource, error)
	beginCreate(name string, p properties) (token string, err error)
	resumeCreate(token string) (resource, error)
	get(name string) (resource, error)
	list() ([]resource, error)
	status(name string) (status, error)
	stop(name string) error
	beginStop(name string) (token string, err error)
	resumeStop(token string) error
	remove(name string) error
	beginRemove(name string) (token string, err error)
	resumeRemove(token string) error
}

// sdks are the makers of the clients that the tests run with: the first major version and the newest.
var sdks = map[string]func(*bed, *arm.ClientOptions) sdk{"oldest": newOldest, "newest": newNewest}

// A resource is a packet capture as an answer has it.
type resource struct {
	Name       string     `json:"name"`
	ID         string     `json:"id"`
	Etag       string     `json:"etag"`
	Type       string     `json:"type,omitempty"` // not in armnetwork
	Properties properties `json:"properties"`
}

// properties are those of a packet capture, as a client sends them and as an answer has them.
type properties struct {
	Target     string   `json:"target,omitempty"`
	TargetType string   `json:"targetType,omitempty"`
	Scope      *scope   `json:"scope,omitempty"`
	Snap       *int64   `json:"bytesToCapturePerPacket,omitempty"`
	Total      *int64   `json:"totalBytesPerSession,omitempty"`
	Seconds    *int64   `json:"timeLimitInSeconds,omitempty"`
	Storage    storage  `json:"storageLocation"`
	Filters    []filter `json:"filters,omitempty"`

	State string `json:"provisioningState,omitempty"`
}

type scope struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

type storage struct {
	ID   string `json:"storageId,omitempty"`
	Path string `json:"storagePath,omitempty"`
	File string `json:"filePath,omitempty"`
}

type status struct {
	Name    string    `json:"name"`
	ID      string    `json:"id"`
	Started time.Time `json:"captureStartTime"`
	State   string    `json:"packetCaptureStatus"`
	Reason  string    `json:"stopReason"`
	Errors  []string  `json:"packetCaptureError"`
}

// options are those of a client that has a token of the appliance and goes to it through its forwarded
// port, which stays over a restart. Policies run once a call.
func (b *bed) options(policies ...policy.Policy) *arm.ClientOptions {
	b.t.Helper()
	o := &arm.ClientOptions{DisableRPRegistration: true}
	o.Cloud = cloud.Configuration{
		ActiveDirectoryAuthorityHost: b.url + "/adfs",
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: b.url, Audience: b.url},
		},
	}
	o.Transport = b.http
	o.PerCallPolicies = policies
	return o
}

// A ready credential is a token that is there.
type ready string

func (r ready) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(r), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// async asks for an operation that is waited for (RFC 7240 section 4.1).
type async struct{}

func (async) Do(r *policy.Request) (*http.Response, error) {
	r.Raw().Header.Set("Prefer", "respond-async")
	return r.Next()
}

// as gives a value of armnetwork's another type, by way of their JSON.
func as[T any](from json.Marshaler, err error) (T, error) {
	var to T
	if err != nil {
		return to, err
	}
	text, err := from.MarshalJSON()
	if err != nil {
		return to, err
	}
	return to, json.Unmarshal(text, &to)
}

// into gives properties armnetwork's type.
func into[T any, P interface {
	*T
	json.Unmarshaler
}](p properties) (to T) {
	text, err := json.Marshal(map[string]any{"properties": p})
	if err == nil {
		err = P(&to).UnmarshalJSON(text)
	}
	if err != nil {
		panic(err) // properties are always JSON that armnetwork knows
	}
	return to
}

// done waits for the end of an operation.
func done[T any](ctx context.Context, p *runtime.Poller[T], err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return p.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: 100 * time.Millisecond})
}

// token returns what another process needs to wait for an operation.
func token[T any](p *runtime.Poller[T], err error) (string, error) {
	if err != nil {
		return "", err
	}
	return p.ResumeToken()
}
