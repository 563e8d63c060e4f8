package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	downloadName = "mx1-bench-20260101-000000.pcap"
	downloadSize = 1 << 30
)

// A downloader is a client program that fetches a file.
type downloader struct {
	name string
	goal bool
	// command fetches remote from s to local.
	command func(ctx context.Context, b *bed, s *server, remote, local string) *exec.Cmd
}

var downloaders = []downloader{
	{"sftp", true, func(ctx context.Context, b *bed, s *server, remote, local string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "sftp", append(b.options(), "-q", "-b", "-", "-P", s.port, s.target())...)
		cmd.Stdin = strings.NewReader("get " + remote + " " + local + "\n")
		return cmd
	}},
	{"scp", false, func(ctx context.Context, b *bed, s *server, remote, local string) *exec.Cmd {
		return exec.CommandContext(ctx, "scp", append(b.options(), "-q", "-P", s.port, s.target()+":"+remote, local)...)
	}},
	{"scp -O", false, func(ctx context.Context, b *bed, s *server, remote, local string) *exec.Cmd {
		return exec.CommandContext(ctx, "scp",
			append(b.options(), "-O", "-q", "-P", s.port, s.target()+":"+remote, local)...)
	}},
	{"psftp", false, psftp},
}

// psftp returns PuTTY's client for SFTP. It needs the key in PuTTY's own form, and the host key on
// its command line.
func psftp(ctx context.Context, b *bed, s *server, remote, local string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "psftp", "-batch", "-P", s.port, "-hostkey", b.fingerprint(ctx, s), "-i",
		b.key()+".ppk", "-b", "/dev/stdin", s.target())
	cmd.Env = append(os.Environ(), "HOME="+b.dir)
	cmd.Stdin = strings.NewReader("get " + remote + " " + local + "\n")
	return cmd
}

// fingerprint returns the fingerprint of a server's Ed25519 host key, as ssh-keygen -l prints it.
func (b *bed) fingerprint(ctx context.Context, s *server) string {
	keys, _ := exec.CommandContext(ctx, "ssh-keyscan", "-t", "ed25519", "-p", s.port, "127.0.0.1").Output()
	cmd := exec.CommandContext(ctx, "ssh-keygen", "-l", "-f", "-")
	cmd.Stdin = strings.NewReader(string(keys))
	line, _ := cmd.Output()
	for _, word := range strings.Fields(string(line)) {
		if strings.HasPrefix(word, "SHA256:") {
			return word
		}
	}
	return "unknown"
}

// download measures the time that clients need for the same file of 1 GiB, with their default
// settings.
func download(ctx context.Context, b *bed) ([]figure, error) {
	file := filepath.Join(b.data, "diagnostic", downloadName)
	if err := makeFile(file); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	if err := command(ctx, "puttygen", b.key(), "-O", "private", "-o", b.key()+".ppk"); err != nil {
		return nil, err
	}
	to, err := os.MkdirTemp("/dev/shm", "diagsh-bench-") // memory, so that no disk is measured
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(to)
	var figures []figure
	for _, d := range downloaders {
		rounds := 1
		if d.goal {
			rounds = 7
		}
		var ours, peers []time.Duration
		for range b.often(rounds) {
			for s, list := range map[*server]*[]time.Duration{b.appliance: &ours, b.sshd[true]: &peers} {
				remote := file
				if s == b.appliance {
					remote = "diagnostic/" + downloadName
				}
				took, err := fetch(d.command(ctx, b, s, remote, filepath.Join(to, "file")), filepath.Join(to, "file"))
				if err != nil {
					return nil, err
				}
				*list = append(*list, took)
			}
		}
		f := figure{what: "download of 1 GiB, " + d.name + " | the same from sshd", ours: rate(ours), peer: rate(peers)}
		if d.goal {
			ratio := float64(median(ours)) / float64(median(peers))
			f.goal, f.met = fmt.Sprintf("no slower; takes %.2f of its time", ratio), ratio <= 1
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// fetch runs a client, checks that all of the file came, and returns how long that took.
func fetch(cmd *exec.Cmd, local string) (time.Duration, error) {
	began := time.Now()
	if err := silent(cmd); err != nil {
		return 0, err
	}
	took := time.Since(began)
	info, err := os.Stat(local)
	if err != nil {
		return 0, err
	}
	if info.Size() != downloadSize {
		return 0, fmt.Errorf("%s fetched %d bytes of %d", filepath.Base(cmd.Path), info.Size(), downloadSize)
	}
	return took, os.Remove(local)
}

func rate(times []time.Duration) string {
	m := median(times)
	return fmt.Sprintf("%.2f s, %.0f MB/s", m.Seconds(), downloadSize/1e6/m.Seconds())
}

// makeFile writes a file of downloadSize random bytes to the disk and leaves it in the page cache.
func makeFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, downloadSize)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, f)
	}
	f.Close()
	return err
}
