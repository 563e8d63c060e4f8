package main

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"diagsh/internal/daemon"
)

// What another appliance has is waited for, as it may have been killed just now. No other error is.
func TestStartAfterAKill(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) func() (io.Closer, error){
		"address": func(t *testing.T) func() (io.Closer, error) {
			address := "127.0.0.1:0"
			return func() (io.Closer, error) {
				l, err := net.Listen("tcp", address)
				if err == nil {
					address = l.Addr().String()
				}
				return l, err
			}
		},
		"socket": func(t *testing.T) func() (io.Closer, error) {
			path := filepath.Join(t.TempDir(), "socket")
			return func() (io.Closer, error) { return listenSocket(path) }
		},
		"data": func(t *testing.T) func() (io.Closer, error) {
			dir := t.TempDir()
			return func() (io.Closer, error) {
				d, err := daemon.Open(daemon.Options{Dir: dir})
				return closer{d}, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again := open(t)
			held, err := again()
			if err != nil {
				t.Fatal(err)
			}
			tries := 0
			opened, err := whenFree(func() (io.Closer, error) {
				if tries++; tries == 3 {
					held.Close()
				}
				return again()
			})
			if err != nil || tries != 3 {
				t.Fatalf("after %d tries: %v", tries, err)
			}
			opened.Close()
		})
	}
	tries := 0
	_, err := whenFree(func() (io.Closer, error) {
		tries++
		return nil, syscall.EACCES
	})
	if !errors.Is(err, syscall.EACCES) || tries != 1 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

type closer struct{ *daemon.Daemon }

func (c closer) Close() error { return c.Daemon.Close(context.Background()) }
