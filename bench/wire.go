package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The network of the captures: two namespaces joined by a veth pair. trafgen sends in one on core
// 0, the measured program captures in the other on core 1.
const (
	sender, receiver = "diagsh-bench-tx", "diagsh-bench-rx"
	near, far        = "va", "vb"
	senderCPU        = 0
	receiverCPU      = 1
)

// A wire is the pair of namespaces, with an appliance in the receiver's.
type wire struct {
	b       *bed
	dir     string        // where captures go
	data    string        // of the appliance
	on      string        // what is captured: far, or ALL
	options string        // of packetcapture start, after a blank; may be empty
	rests   time.Duration // for how long nothing is sent to a capture of ours, before the load
	server  *exec.Cmd
}

func (b *bed) newWire(ctx context.Context) (w *wire, err error) {
	w = &wire{b: b, dir: b.path("captures"), data: b.path("wire"), on: far}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return nil, err
	}
	for _, words := range []string{
		"netns add " + sender, "netns add " + receiver,
		"-n " + sender + " link add " + near + " type veth peer name " + far + " netns " + receiver,
	} {
		if err := command(ctx, "ip", strings.Fields(words)...); err != nil {
			return nil, err
		}
	}
	for ns, link := range map[string]string{sender: near, receiver: far} {
		// Without IPv6 there are no packets but the load's: no neighbour discovery.
		for _, words := range []string{
			"netns exec " + ns + " sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
			"-n " + ns + " link set lo up",
			"-n " + ns + " link set " + link + " up",
		} {
			if err := command(ctx, "ip", strings.Fields(words)...); err != nil {
				return nil, err
			}
		}
	}
	return w, w.startAppliance(ctx)
}

// peerOn returns the name that the peers have for what is captured.
func (w *wire) peerOn() string {
	if w.on == "ALL" {
		return "any"
	}
	return w.on
}

// inside runs a program in a namespace on a core.
func inside(ctx context.Context, ns string, cpu int, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip",
		append([]string{"netns", "exec", ns, "taskset", "-c", strconv.Itoa(cpu)}, args...)...)
}

func (w *wire) startAppliance(ctx context.Context) error {
	config := w.b.path("wire.yaml")
	if err := os.WriteFile(config, []byte("hostname: "+hostname+"\ncaptures: {diskReserve: 1GB}\n"),
		0o600); err != nil {
		return err
	}
	w.server = inside(ctx, receiver, receiverCPU, w.b.binary, "serve", "--data", w.data, "--ssh", "127.0.0.1:0", "--https", "off",
		"--config", config, "--admin-key", w.b.key()+".pub", "--log", w.b.path("wire.log"))
	output, err := w.server.StdoutPipe()
	if err != nil {
		return err
	}
	w.server.Stderr = os.Stderr
	if err := w.server.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if announcedPort.MatchString(lines.Text()) {
			go func() {
				for lines.Scan() {
				}
			}()
			return nil
		}
	}
	return errors.New("the appliance did not start")
}

func (w *wire) stopAppliance() {
	if w.server != nil && w.server.Process != nil {
		w.server.Process.Signal(syscall.SIGTERM)
		w.server.Wait()
	}
}

func (w *wire) close() {
	w.stopAppliance()
	for _, ns := range []string{sender, receiver} {
		exec.Command("ip", "netns", "delete", ns).Run()
	}
}

// line runs a line at the appliance and decodes its JSON into a value, unless that is nil.
func (w *wire) line(ctx context.Context, line string, into any) error {
	cmd := exec.CommandContext(ctx, w.b.binary, "--socket", filepath.Join(w.data, "api.sock"), "-c", line+" --json")
	output, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("%s: %s", line, strings.TrimSpace(string(exit.Stderr)))
		}
		return err
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(output, into)
}

// A load is what trafgen sends: identical Ethernet frames with a UDP datagram.
type load struct {
	length int
	number int
	rate   int // packets a second; 0 is as fast as one core can
}

func (l load) String() string {
	rate := "as fast as one core can"
	if l.rate > 0 {
		rate = fmt.Sprintf("at %d/s", l.rate)
	}
	return fmt.Sprintf("%d packets of %d bytes %s", l.number, l.length, rate)
}

// send sends a load.
func (w *wire) send(ctx context.Context, l load) error {
	const headers = 14 + 20 + 8
	frame := fmt.Sprintf("{ 2,0,0,0,0,2, 2,0,0,0,0,1, c16(0x0800), 0x45,0, c16(%d), 0,0,0,0, 64,17, csumip(14,33), "+
		"192,0,2,1, 192,0,2,2, c16(4000), c16(5000), c16(%d), 0,0, fill(0x42,%d) }", l.length-14,
		l.length-34, l.length-headers)
	conf := w.b.path("frame")
	if err := os.WriteFile(conf, []byte(frame), 0o644); err != nil {
		return err
	}
	args := []string{"trafgen", "--dev", near, "--conf", conf, "-n", strconv.Itoa(l.number), "-P1"}
	if l.rate > 0 {
		args = append(args, "-b", fmt.Sprintf("%dpps", l.rate))
	}
	return silent(inside(ctx, sender, senderCPU, args...))
}

// sent returns how many packets of the sender have arrived at the receiver's end of the pair so
// far.
func (w *wire) sent(ctx context.Context) (int64, error) {
	output, err := exec.CommandContext(ctx, "ip", "-n", receiver, "-j", "-s", "link", "show", far).Output()
	if err != nil {
		return 0, err
	}
	var links []struct {
		Stats64 struct {
			RX struct {
				Packets int64 `json:"packets"`
			} `json:"rx"`
		} `json:"stats64"`
	}
	if err := json.Unmarshal(output, &links); err != nil || len(links) != 1 {
		return 0, fmt.Errorf("ip link: %w", err)
	}
	return links[0].Stats64.RX.Packets, nil
}

// probe writes past the page cache for a second, as the engine does. It returns how many bytes a
// second the disk takes, and the time of the longest write. No program can capture faster.
func (w *wire) probe() (perSecond float64, longest time.Duration, err error) {
	path := filepath.Join(w.dir, "probe")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_DIRECT, 0o600)
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(path)
	defer f.Close()
	const size = 2 << 20
	buffer, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Munmap(buffer)
	for i := range buffer {
		buffer[i] = byte(i)
	}
	began := time.Now()
	written := 0
	for time.Since(began) < time.Second {
		one := time.Now()
		n, err := f.Write(buffer)
		if err != nil {
			return 0, 0, err
		}
		written += n
		longest = max(longest, time.Since(one))
	}
	return float64(written) / time.Since(began).Seconds(), longest, nil
}
