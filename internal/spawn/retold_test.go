package spawn

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func retell(text string) string {
	var log bytes.Buffer
	r := &retold{log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))}
	r.all(strings.NewReader(text))
	return log.String()
}

func TestLinesOfTheFront(t *testing.T) {
	var own bytes.Buffer
	slog.New(slog.NewJSONHandler(&own, nil)).Warn("ssh: no login", "source", "192.0.2.1", "refused", 3)
	for text, want := range map[string]string{
		own.String(): "level=WARN msg=\"ssh: no login\" source=192.0.2.1 refused=3 process=front\n",
		"panic: no":  "level=ERROR msg=\"it said\" text=\"panic: no\" process=front\n",
		`{"level":"INFO","msg":"a\u001b[2J\nlevel=ERROR msg=b"}` + "\n": "level=INFO msg=\"a\\x1b[2J\\nlevel=ERROR msg=b\" process=front\n",
		`{"msg":"half`:          "level=INFO msg=\"\" process=front\n",
		`{"msg":5,"level":[1]}`: "level=INFO msg=\"\" msg=5 level=[1] process=front\n",
		`[]`:                    "level=ERROR msg=\"it said\" text=[] process=front\n",
		strings.Repeat("x", 20_000) + "\nshort\n": "level=ERROR msg=\"it said\" text=" + strings.Repeat("x", maxSaidLine) + " process=front\nlevel=ERROR msg=\"it said\" text=short process=front\n",
	} {
		if got := retell(text); got != want {
			t.Errorf("%.100q is told as\n%.300s\nnot\n%.300s", text, got, want)
		}
	}
}

// A front that says too much is not heard, and what is left out is counted.
func TestFrontThatSaysTooMuch(t *testing.T) {
	said := strings.Repeat("{\"msg\":\"again\"}\n", 100_000)
	lines := strings.Count(retell(said), "\n")
	if lines < saidBurst || lines > 3*saidBurst {
		t.Errorf("%d lines", lines)
	}
	var members strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&members, `,"m%d":1`, i)
	}
	if got := retell(`{"msg":"many"` + members.String()[:maxSaidLine-100] + "}\n"); strings.Count(got, "=1") > maxSaidMembers {
		t.Errorf("told as %s", got)
	}
}
