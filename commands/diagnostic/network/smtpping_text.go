package network

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/smtp"
	"diagsh/internal/menu"
)

func stepRecord(server string, address netip.AddrPort, s smtp.Step, timeout time.Duration) smtpStep {
	r := smtpStep{Step: s.Name, Server: server, Address: address.Addr().String(), Sent: s.Sent, Code: s.Code,
		Reply: s.Reply, Seconds: probes.Seconds(s.Time), Remark: remark(s)}
	if s.Failure != nil {
		r.Error = failure(s, timeout)
	}
	if t := s.TLS; t != nil {
		r.TLS = &smtpTLS{Version: t.Version, Cipher: t.Cipher, Trusted: t.Trusted,
			Reasons: append([]string{}, t.Reasons...)}
		for _, c := range t.Certificates {
			r.TLS.Certificates = append(r.TLS.Certificates,
				smtpCertificate{Subject: c.Subject, Issuer: c.Issuer, Names: append([]string{}, c.Names...),
					NotBefore: c.NotBefore, NotAfter: c.NotAfter, Key: c.Key, Signature: c.Signature,
					SerialNumber: c.SerialNumber, SHA256: c.SHA256})
		}
	}
	return r
}

func smtpText(w io.Writer, s smtpStep) {
	if t := s.smtpTimes; t != nil {
		ms := func(seconds float64) string { return fmt.Sprintf("%.3f", seconds*1000) }
		fmt.Fprintf(w, "%-10s %6d %11s %11s %11s\n", s.Step, t.Tests, ms(t.Minimum), ms(t.Median), ms(t.Maximum))
		return
	}
	if s.brief {
		return
	}
	took := fmt.Sprintf("(%s ms)", probes.Milliseconds(time.Duration(s.Seconds*float64(time.Second))))
	if s.Sent != "" {
		fmt.Fprintf(w, "-> %s\n", menu.Clean(s.Sent))
	}
	if s.Step == "message" {
		fmt.Fprintln(w, "-> (the message)")
	}
	for i, line := range s.Reply {
		fmt.Fprintf(w, "<- %s", menu.Clean(line))
		if i == len(s.Reply)-1 && s.Error == "" {
			fmt.Fprintf(w, " %s", took)
		}
		fmt.Fprintln(w)
	}
	switch {
	case s.Error != "":
		fmt.Fprintf(w, "%s failed: %s %s\n", s.Step, s.Error, took)
	case s.Step == "resolve" && s.Server == s.Address:
	case s.Step == "resolve":
		fmt.Fprintf(w, "Resolved %s to %s %s\n", menu.Clean(s.Server), s.Address, took)
	case s.Step == "connect":
		fmt.Fprintf(w, "Connected to %s %s\n", s.Address, took)
	case s.TLS != nil:
		tlsText(w, *s.TLS, took)
	}
	if s.Remark != "" {
		fmt.Fprintf(w, "Remark: %s.\n", s.Remark)
	}
}

func tlsText(w io.Writer, t smtpTLS, took string) {
	fmt.Fprintf(w, "TLS begun: %s, %s %s\n", t.Version, t.Cipher, took)
	for i, c := range t.Certificates {
		fmt.Fprintf(w, "   Certificate %d\n", i+1)
		fmt.Fprintf(w, "     Subject:     %s\n", menu.Clean(c.Subject))
		names := menu.Clean(strings.Join(c.Names, ", "))
		if names == "" {
			names = "none; it has no subjectAltName, and the common name does not count (RFC 9525)"
		}
		fmt.Fprintf(w, "     Names:       %s\n", names)
		fmt.Fprintf(w, "     Issuer:      %s\n", menu.Clean(c.Issuer))
		fmt.Fprintf(w, "     Valid:       %s to %s\n", menu.UTC(c.NotBefore), menu.UTC(c.NotAfter))
		fmt.Fprintf(w, "     Key:         %s, signed with %s\n", c.Key, c.Signature)
		fmt.Fprintf(w, "     Serial:      %s\n", c.SerialNumber)
		fmt.Fprintf(w, "     Fingerprint: SHA256 %s\n", c.SHA256)
	}
	if t.Trusted {
		fmt.Fprintf(w, "   The certificate is trusted.\n")
		return
	}
	fmt.Fprintf(w, "   The certificate is NOT trusted: %s.\n", menu.Clean(strings.Join(t.Reasons, "; ")))
}
