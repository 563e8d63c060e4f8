package main

import (
	"context"
	"fmt"
	"time"
)

// login measures the time from the start of OpenSSH's client to the first prompt, beside a whole
// `ssh HOST true` at OpenSSH's server.
func login(ctx context.Context, b *bed) ([]figure, error) {
	var prompts, pam, plain []time.Duration
	for round := range b.often(40) + 1 {
		prompt, err := b.toPrompt(ctx)
		if err != nil {
			return nil, err
		}
		withPAM, err := b.toEnd(ctx, b.sshd[true])
		if err != nil {
			return nil, err
		}
		without, err := b.toEnd(ctx, b.sshd[false])
		if err != nil {
			return nil, err
		}
		if round == 0 {
			continue // the first round reads programs from the disk
		}
		prompts, pam, plain = append(prompts, prompt), append(pam, withPAM), append(plain, without)
	}
	compare := func(what string, peer []time.Duration) figure {
		ratio := float64(median(prompts)) / float64(median(peer))
		return figure{
			what: what, ours: spread(prompts), peer: spread(peer),
			goal: fmt.Sprintf("at most 0.50 of it; is %.2f", ratio), met: ratio <= 0.5,
		}
	}
	return []figure{
		compare("login to first prompt | ssh ... true, sshd with PAM as on Debian", pam),
		compare("login to first prompt | ssh ... true, sshd without PAM", plain),
	}, nil
}

func (b *bed) toPrompt(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	s, err := open(b.ssh(ctx, b.appliance))
	if err != nil {
		return 0, err
	}
	at, err := s.await(hostname + "> ")
	if err != nil {
		return 0, err
	}
	return at.Sub(began), s.leave("exit\r")
}

func (b *bed) toEnd(ctx context.Context, s *server) (time.Duration, error) {
	began := time.Now()
	err := silent(b.ssh(ctx, s, "true"))
	return time.Since(began), err
}
