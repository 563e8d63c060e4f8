package ports

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"strconv"
)

// errNoNumber is of a duration that JSON cannot say.
var errNoNumber = errors.New("the duration is no number")

// AppendJSON appends the record as encoding/json writes it, without escaping what only HTML must have
// escaped. It takes a tenth of the time, which is most of what a record costs.
func (r *Record) AppendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"time":"`...)
	b, err := r.Time.AppendText(b)
	if err != nil {
		return b, err
	}
	b = append(b, `","event":`...)
	b = appendText(b, string(r.Event))
	b = appendMember(b, `,"protocol":`, string(r.Protocol))
	b = appendAddress(b, `,"localAddress":"`, r.LocalAddress)
	b = appendNumber(b, `,"localPort":`, uint64(r.LocalPort))
	b = appendAddress(b, `,"remoteAddress":"`, r.RemoteAddress)
	b = appendNumber(b, `,"remotePort":`, uint64(r.RemotePort))
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(r.PID), 10)
	b = appendMember(b, `,"process":`, r.Name)
	b = appendMember(b, `,"exe":`, r.Exe)
	b = append(b, `,"uid":`...)
	b = strconv.AppendUint(b, uint64(r.UID), 10)
	b = appendMember(b, `,"user":`, r.User)
	b = appendNumber(b, `,"cookie":`, r.Cookie)
	b = appendNumber(b, `,"socket":`, r.Socket)
	b = appendNumber(b, `,"netns":`, r.NetNS)
	b = appendMember(b, `,"cgroup":`, r.Cgroup)
	b = appendMember(b, `,"state":`, r.State)
	if b, err = r.appendSums(b); err != nil {
		return b, err
	}
	b = appendPID(b, `,"openedBy":`, r.OpenedBy)
	b = appendPID(b, `,"acceptedBy":`, r.AcceptedBy)
	b = appendPID(b, `,"lastUsedBy":`, r.LastUsedBy)
	b = appendMember(b, `,"reason":`, r.Reason)
	b = appendNumber(b, `,"lost":`, r.Lost)
	return append(b, '}'), nil
}

// appendSums appends what a socket carried in its life.
func (r *Record) appendSums(b []byte) ([]byte, error) {
	if r.BytesSent != nil {
		b = append(b, `,"bytesSent":`...)
		b = strconv.AppendUint(b, *r.BytesSent, 10)
	}
	if r.BytesReceived != nil {
		b = append(b, `,"bytesReceived":`...)
		b = strconv.AppendUint(b, *r.BytesReceived, 10)
	}
	if r.Seconds == nil {
		return b, nil
	}
	f := *r.Seconds
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b, errNoNumber
	}
	b = append(b, `,"durationSeconds":`...)
	size := math.Abs(f)
	if size == 0 || size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64), nil
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09 is e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b, nil
}

func appendMember(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(append(b, name...), text)
}

func appendNumber(b []byte, name string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(append(b, name...), n, 10)
}

func appendPID(b []byte, name string, pid int) []byte {
	if pid == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), int64(pid), 10)
}

func appendAddress(b []byte, name string, a netip.Addr) []byte {
	if a == (netip.Addr{}) {
		return b
	}
	if a.Zone() != "" { // may have any bytes
		return appendText(append(b, name[:len(name)-1]...), a.String())
	}
	return append(a.AppendTo(append(b, name...)), '"')
}

// appendText appends a string. What needs escaping is left to encoding/json: few names do.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x80 || c == '"' || c == '\\' {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	buffer := bytes.NewBuffer(b)
	e := json.NewEncoder(buffer)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil { // no string fails
		return b
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}
