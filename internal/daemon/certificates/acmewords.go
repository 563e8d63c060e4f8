package certificates

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/acme"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// reasonOf says in a sentence why the CA gave no certificate. What the CA says itself comes from
// outside and is shown as it came.
func reasonOf(err error) string {
	var ours *menu.Error
	var denied *acme.AuthorizationError
	var refused *acme.Error
	var ended *acme.OrderError
	var untrusted *tls.CertificateVerificationError
	var unknown *net.DNSError
	var failed syscall.Errno
	switch {
	case errors.As(err, &ours):
		return ours.Message + "."
	case errors.As(err, &denied):
		var said []string
		for _, one := range denied.Errors {
			said = append(said, detailOf(one))
		}
		return fmt.Sprintf("The CA could not see that %s is this appliance: %s", denied.Identifier, strings.Join(said, " "))
	case errors.As(err, &refused):
		return "The CA refuses: " + detailOf(refused)
	case errors.As(err, &ended) && ended.Problem != nil:
		return "The CA refuses: " + detailOf(ended.Problem)
	case errors.As(err, &ended):
		return fmt.Sprintf("The CA ended the order as %s.", ended.Status)
	case errors.As(err, &untrusted):
		return "The directory's host has a certificate that the appliance does not trust; give the CA's own with authority."
	case errors.As(err, &unknown):
		return fmt.Sprintf("The name of the directory's host, %s, has no address.", unknown.Name)
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return "The CA did not answer in time."
	case errors.Is(err, context.Canceled):
		return "The order was given up."
	case errors.As(err, &failed):
		return fmt.Sprintf("The directory's host cannot be reached: %v.", failed)
	}
	return "The CA's answers are not those of ACME; the appliance's log has them."
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// detailOf returns what the CA says, as a sentence.
func detailOf(err error) string {
	text := err.Error()
	var refused *acme.Error
	if errors.As(err, &refused) {
		text = refused.Detail
		for _, part := range refused.Subproblems {
			text += "; " + part.Detail
		}
	}
	return strings.TrimSuffix(menu.Bounded(text, 500), ".") + "."
}

// acmeFailure returns why the last try gave no certificate; "" if it did, or there was none.
func (c *Certificates) acmeFailure() string {
	c.acme.mu.Lock()
	defer c.acme.mu.Unlock()
	return c.acme.failure
}

// acmeWords says how it stands with the CA; nil if none is asked. Called with mu held.
func (c *Certificates) acmeWords() *access.ACME {
	if c.setting != config.ByACME {
		return nil
	}
	a := &c.acme
	a.mu.Lock()
	defer a.mu.Unlock()
	w := &access.ACME{Directory: c.orders.directory, Names: c.orders.names, State: "waiting", Failure: a.failure, Failures: a.failures}
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC().Truncate(time.Second)
		return &t
	}
	w.LastTry, w.NextTry = moment(a.last), moment(a.next)
	switch p := c.pairs[config.ByACME]; {
	case a.failure != "":
		w.State = "failed"
	case p != nil && c.orders.fits(p):
		w.State = "valid"
		w.NextTry = moment(renewalOf(p))
	}
	return w
}
