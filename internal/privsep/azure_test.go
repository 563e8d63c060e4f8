package privsep

import (
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// The front learns who the appliance is to clients of Azure, and gets a pass for a login of the same
// connection alone.
func TestPassOverTheBoundary(t *testing.T) {
	front := frontOf(t, newFake(t))
	if azure, err := front.Azure(t.Context()); err != nil || azure.Machine != "mx1" || azure.Subscription != "sub" {
		t.Errorf("it is %+v, %v", azure, err)
	}
	client, err := front.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if pass, err := client.Grant("early"); err == nil {
		t.Errorf("before a login there is %+v", pass)
	}
	login, err := client.Login(access.Credentials{User: "op", Password: "right", Source: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if pass, err := client.Grant("name"); err != nil || pass.Text != "a.pass.of."+menu.Secret(login.ID) || pass.Client != "name" {
		t.Errorf("%+v, %v", pass, err)
	}
}
