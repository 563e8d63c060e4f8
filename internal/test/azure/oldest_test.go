package azure

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork"
)

// oldest is the first major version of armnetwork.
type oldest struct {
	ctx    context.Context
	client *armnetwork.PacketCapturesClient
}

func newOldest(b *bed, o *arm.ClientOptions) sdk {
	b.t.Helper()
	client, err := armnetwork.NewPacketCapturesClient(subscription, ready(b.token), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return oldest{b.t.Context(), client}
}

func (c oldest) create(name string, p properties) (resource, error) {
	poller, err := c.client.BeginCreate(c.ctx, watcherGroup, watcher, name, into[armnetwork.PacketCapture](p), nil)
	r, err := done(c.ctx, poller, err)
	return as[resource](r.PacketCaptureResult, err)
}

func (c oldest) beginCreate(name string, p properties) (string, error) {
	return token(c.client.BeginCreate(c.ctx, watcherGroup, watcher, name, into[armnetwork.PacketCapture](p), nil))
}

func (c oldest) resumeCreate(token string) (resource, error) {
	o := &armnetwork.PacketCapturesClientBeginCreateOptions{ResumeToken: token}
	poller, err := c.client.BeginCreate(c.ctx, "", "", "", armnetwork.PacketCapture{}, o)
	r, err := done(c.ctx, poller, err)
	return as[resource](r.PacketCaptureResult, err)
}

func (c oldest) get(name string) (resource, error) {
	r, err := c.client.Get(c.ctx, watcherGroup, watcher, name, nil)
	return as[resource](r.PacketCaptureResult, err)
}

func (c oldest) list() (all []resource, err error) {
	for pager := c.client.NewListPager(watcherGroup, watcher, nil); pager.More(); {
		page, err := pager.NextPage(c.ctx)
		if err != nil {
			return nil, err
		}
		for _, v := range page.Value {
			r, err := as[resource](v, nil)
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
	}
	return all, nil
}

func (c oldest) status(name string) (status, error) {
	poller, err := c.client.BeginGetStatus(c.ctx, watcherGroup, watcher, name, nil)
	r, err := done(c.ctx, poller, err)
	return as[status](r.PacketCaptureQueryStatusResult, err)
}

func (c oldest) stop(name string) error {
	poller, err := c.client.BeginStop(c.ctx, watcherGroup, watcher, name, nil)
	_, err = done(c.ctx, poller, err)
	return err
}

func (c oldest) beginStop(name string) (string, error) {
	return token(c.client.BeginStop(c.ctx, watcherGroup, watcher, name, nil))
}

func (c oldest) resumeStop(token string) error {
	poller, err := c.client.BeginStop(c.ctx, "", "", "", &armnetwork.PacketCapturesClientBeginStopOptions{ResumeToken: token})
	_, err = done(c.ctx, poller, err)
	return err
}

func (c oldest) remove(name string) error {
	poller, err := c.client.BeginDelete(c.ctx, watcherGroup, watcher, name, nil)
	_, err = done(c.ctx, poller, err)
	return err
}

func (c oldest) beginRemove(name string) (string, error) {
	return token(c.client.BeginDelete(c.ctx, watcherGroup, watcher, name, nil))
}

func (c oldest) resumeRemove(token string) error {
	poller, err := c.client.BeginDelete(c.ctx, "", "", "", &armnetwork.PacketCapturesClientBeginDeleteOptions{ResumeToken: token})
	_, err = done(c.ctx, poller, err)
	return err
}
