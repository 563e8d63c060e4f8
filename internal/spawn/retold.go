package spawn

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"time"
)

// Bounds of what the front can have written into the appliance's log: the length and the members of
// a line, the lines at once, and then one in each saidEvery. The front has bounds of its own for
// what strangers cause. These are for a front that was taken over.
const (
	maxSaidLine    = 4 << 10
	maxSaidMembers = 16
	saidBurst      = 200
	saidEvery      = 100 * time.Millisecond
)

// A retold is what the front says on its standard error: lines of slog's JSON, and what Go's
// runtime says of its end.
type retold struct {
	log     *slog.Logger
	used    float64 // lines of the burst
	at      time.Time
	leftOut int
}

// all tells the log until the front closes its end.
func (r *retold) all(from io.Reader) {
	lines := bufio.NewReaderSize(from, maxSaidLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 && r.due(time.Now()) {
			r.tell(bytes.TrimSpace(line))
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			_, err = lines.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// due reports whether another line may be written now.
func (r *retold) due(now time.Time) bool {
	r.used = max(0, r.used-float64(now.Sub(r.at))/float64(saidEvery))
	r.at = now
	if r.used > saidBurst-1 {
		r.leftOut++
		return false
	}
	r.used++
	return true
}

func (r *retold) tell(line []byte) {
	level, message, attributes := parseSaid(line)
	if r.leftOut > 0 {
		attributes = append(attributes, slog.Int("linesLeftOut", r.leftOut))
		r.leftOut = 0
	}
	r.log.LogAttrs(context.Background(), level, message, append(attributes, slog.String("process", "front"))...)
}

// parseSaid reads a line of slog's JSON. It leaves the time out, which the front may invent. What
// is no such line is the front's last words.
func parseSaid(line []byte) (level slog.Level, message string, attributes []slog.Attr) {
	d := json.NewDecoder(bytes.NewReader(line))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return slog.LevelError, "it said", []slog.Attr{slog.String("text", string(line))}
	}
	for d.More() && len(attributes) < maxSaidMembers {
		name, err := d.Token()
		if err != nil {
			break
		}
		var value any
		if err := d.Decode(&value); err != nil {
			break
		}
		text, isText := value.(string)
		switch key, _ := name.(string); {
		case key == slog.TimeKey:
		case key == slog.LevelKey && isText:
			level.UnmarshalText([]byte(text)) // what is none stays INFO
		case key == slog.MessageKey && isText:
			message = text
		default:
			attributes = append(attributes, slog.Any(key, value))
		}
	}
	return level, message, attributes
}
