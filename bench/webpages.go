package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

const (
	openPages  = 50
	pagesTime  = 20 * time.Second
	pagesCPU   = 0.10 // share of a core, the appliance and its front together
	pagesQuiet = 5 * time.Second
	pagesRate  = 100 // packets a second that the running capture counts
)

// pages measures what open pages cost while they show a running capture: each is a session with a
// connection of its own, and one stream of events.
func (w *webBench) pages(ctx context.Context) ([]figure, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sink, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	port := sink.LocalAddr().(*net.UDPAddr).Port
	line := fmt.Sprintf("packetcapture start live interfaces lo filter 'udp port %d'", port)
	if err := silent(w.ssh(ctx, w.server, line)); err != nil {
		return nil, err
	}
	go send(ctx, sink, pagesRate)
	pids, err := w.processes()
	if err != nil {
		return nil, err
	}
	_, alone, err := busyShares(ctx, pagesQuiet, pids)
	if err != nil {
		return nil, err
	}
	var heard atomic.Int64 // events of the capture, at all pages
	for range openPages {
		v, err := w.signIn(ctx)
		if err != nil {
			return nil, err
		}
		defer v.close()
		if err := v.listen(ctx, &heard); err != nil {
			return nil, err
		}
	}
	pause(ctx, 3*time.Second) // the work of signing in must not count
	before := heard.Load()
	took, shares, err := busyShares(ctx, pagesTime, pids[:1], pids[1:])
	if err != nil {
		return nil, err
	}
	each := float64(heard.Load()-before) / openPages / took.Seconds()
	if each < 0.2 {
		return nil, fmt.Errorf("a page hears %.2f events of the capture a second", each)
	}
	cancel()
	all := shares[0] + shares[1]
	return []figure{{
		what: fmt.Sprintf("HTTPS: CPU of %d pages that show a running capture, %.0f s, %.1f events a second each", openPages,
			took.Seconds(), each),
		ours: fmt.Sprintf("%.2f %% of a core (appliance %.2f, front %.2f; without a page both %.2f)", 100*all,
			100*shares[0], 100*shares[1], 100*alone[0]),
		peer: "-", goal: "at most 10 %", met: all <= pagesCPU,
	}}, silent(w.ssh(context.WithoutCancel(ctx), w.server, "packetcapture stop live"))
}

// send sends packets to a socket by itself, so many a second, until ctx ends.
func send(ctx context.Context, c net.PacketConn, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.WriteTo(make([]byte, 100), c.LocalAddr())
		}
	}
}

// listen opens the stream of events of a page and counts those of captures until ctx ends.
func (v *visitor) listen(ctx context.Context, heard *atomic.Int64) error {
	r, err := v.send(ctx, "GET", "/v1/events", nil, true)
	if err != nil {
		return err
	}
	if r.StatusCode != 200 || r.ProtoMajor != 2 {
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		return errors.Join(fmt.Errorf("/v1/events: %s %s: %s", r.Proto, r.Status, text), err)
	}
	go func() {
		defer r.Body.Close()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			if strings.TrimSpace(strings.TrimPrefix(lines.Text(), "event:")) == "captures" {
				heard.Add(1)
			}
		}
	}()
	return nil
}
