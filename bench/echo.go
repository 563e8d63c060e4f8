package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	echoKeys  = 500
	echoGoal  = 40 * time.Millisecond
	echoPause = 100 * time.Millisecond // at most, between a key here and the next one at the peer
)

// letters are the keys. Each occurs once in a line and in no prompt, so what appears is its echo
// and not another picture of an old letter.
const letters = "bcfghijkqvwyz"

// echo measures the time from a key to its picture on the client's terminal. The peer is bash's
// line editor on OpenSSH's server.
func echo(ctx context.Context, b *bed) ([]figure, error) {
	ours, err := open(b.ssh(ctx, b.appliance))
	if err != nil {
		return nil, err
	}
	peer, err := open(b.ssh(ctx, b.sshd[false], "-tt", "PS1='peer> ' bash --norc --noprofile -i"))
	if err != nil {
		return nil, err
	}
	for s, prompt := range map[*screen]string{ours: hostname + "> ", peer: "peer> "} {
		if _, err := s.await(prompt); err != nil {
			return nil, err
		}
		s.forget(200 * time.Millisecond)
	}
	var times, peers []time.Duration
	for n := range b.often(echoKeys) {
		key := letters[n%len(letters) : n%len(letters)+1]
		for s, list := range map[*screen]*[]time.Duration{ours: &times, peer: &peers} {
			if n > 0 && n%len(letters) == 0 {
				if err := s.typed("\x15"); err != nil { // Ctrl-U: a new line
					return nil, err
				}
				s.forget(50 * time.Millisecond)
			}
			pause(ctx, rand.N(echoPause))
			s.shown = nil
			began := time.Now()
			if err := s.typed(key); err != nil {
				return nil, err
			}
			at, err := s.await(key)
			if err != nil {
				return nil, err
			}
			*list = append(*list, at.Sub(began))
		}
	}
	for _, s := range []*screen{ours, peer} {
		if err := s.leave("\x15exit\r"); err != nil {
			return nil, err
		}
	}
	describe := func(of []time.Duration) string {
		return fmt.Sprintf("%s, 95 %% within %s, worst %s", milliseconds(median(of)), milliseconds(quantile(of, 0.95)),
			milliseconds(quantile(of, 1)))
	}
	return []figure{{
		what: fmt.Sprintf("echo of a key, %d keys | bash behind sshd", len(times)),
		ours: describe(times), peer: describe(peers),
		goal: "95 % within 40 ms", met: quantile(times, 0.95) <= echoGoal,
	}}, nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
