package main

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// An address that is in use for a while, as after a kill -9, is waited for; any other error is not.
func TestAddressInUseForAWhile(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	tries := 0
	listener, err := whenFree(func() (net.Listener, error) {
		if tries++; tries == 3 {
			taken.Close()
		}
		return net.Listen("tcp", address)
	})
	if err != nil || tries != 3 {
		t.Fatalf("after %d tries: %v", tries, err)
	}
	listener.Close()

	tries = 0
	_, err = whenFree(func() (net.Listener, error) {
		tries++
		return nil, syscall.EACCES
	})
	if !errors.Is(err, syscall.EACCES) || tries != 1 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}
