package netlink

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAttributes(t *testing.T) {
	b := AppendAttribute(nil, 3, []byte("eth0\x00"))
	b = AppendAttribute(b, 4|unix.NLA_F_NESTED, []byte{1, 2, 3, 4})
	if len(b)%4 != 0 {
		t.Errorf("%d bytes are not aligned", len(b))
	}
	got := map[uint16][]byte{}
	// the last one claims to be longer than it is
	Attributes(append(b, 200, 0, 1, 0), func(kind uint16, value []byte) { got[kind] = value })
	if len(got) != 2 || !bytes.Equal(got[3], []byte("eth0\x00")) || Uint32(got[4]) != 0x04030201 &&
		Uint32(got[4]) != 0x01020304 {
		t.Errorf("%v", got)
	}
	if Uint32([]byte{1, 2}) != 0 {
		t.Error("half a number is a number")
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add(AppendAttribute(nil, 1, []byte("x")))
	f.Add([]byte{4, 0, 0, 0, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		Attributes(b, func(_ uint16, value []byte) { total += len(value) + 4 })
		if total > len(b) {
			t.Errorf("%d bytes of attributes in %d", total, len(b))
		}
	})
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte{16, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		(&Conn{sequence: 1}).messages(b, func(header, []byte) error { return nil })
	})
}

// TestDumpEnds stops a dump by an error and by its context, and reads one to its end.
func TestDumpEnds(t *testing.T) {
	request := make([]byte, unix.SizeofIfInfomsg)
	stop := errors.New("enough")
	for _, c := range []struct {
		each  error
		ended bool
		want  error
	}{{nil, false, nil}, {stop, false, stop}, {nil, true, context.Canceled}} {
		conn, err := Dial(unix.NETLINK_ROUTE)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if c.ended {
			cancel()
		}
		n := 0
		err = conn.Dump(ctx, unix.RTM_GETLINK, request, func(kind uint16, _ []byte) error {
			if n++; kind != unix.RTM_NEWLINK {
				t.Errorf("a message of kind %d", kind)
			}
			return c.each
		})
		if !errors.Is(err, c.want) || c.want == nil && n == 0 {
			t.Errorf("%d messages and %v, not %v", n, err, c.want)
		}
		cancel()
		conn.Close()
	}
}

func TestDumpIsRefused(t *testing.T) {
	conn, err := Dial(unix.NETLINK_INET_DIAG)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Dump(t.Context(), 20, []byte{unix.AF_INET, unix.IPPROTO_TCP, 0},
		func(uint16, []byte) error { return nil })
	if !errors.Is(err, unix.EINVAL) {
		t.Errorf("half a request gives %v", err)
	}
}
