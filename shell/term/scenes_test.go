package term

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// scenes has what a child plays for the tests.
var scenes = map[string]func(*Terminal){
	"shell": func(t *Terminal) { play(t, Line{Prompt: "h> "}) },
	"long prompt": func(t *Terminal) {
		play(t, Line{Prompt: "mail.example.com> "})
	},
	"wide prompt": func(t *Terminal) { play(t, Line{Prompt: "日本> "}) },
	"helpful": func(t *Terminal) {
		play(t, Line{Prompt: "h> ", History: []string{"ping one", "status", "ping two"}, Complete: keywords,
			Help: explain})
	},
	"hostile history": func(t *Terminal) {
		play(t, Line{Prompt: "h> ", History: []string{"\x1b[2Jold\ntwo"}})
	},
	"secret": func(t *Terminal) {
		for {
			secret, err := t.ReadSecret("Password: ")
			fmt.Fprintf(t, "<%s %v>\n", secret, err)
			if secret == "" && err != ErrInterrupted {
				return
			}
		}
	},
}

var words = []Suggestion{
	{"network", "Interfaces, routes, names."},
	{"netstat", "Sockets and counters."},
	{"status", "The state of 日本."},
	{"boom", "Fails."},
}

func keywords(text string, cursor int) []Suggestion {
	typed := text[strings.LastIndexByte(text[:cursor], ' ')+1 : cursor]
	if typed == "boom" {
		panic("boom")
	}
	var found []Suggestion
	for _, w := range words {
		if strings.HasPrefix(w.Text, strings.ToLower(typed)) {
			found = append(found, w)
		}
	}
	return found
}

func explain(text string, cursor int) string {
	if strings.HasPrefix(text, "say ") {
		return ""
	}
	return fmt.Sprintf("after %q come words", text[:cursor])
}

// play is a little shell.
func play(t *Terminal, l Line) {
	for {
		text, err := t.ReadLine(l)
		switch {
		case err == ErrInterrupted:
			t.WriteString("interrupted\n")
			continue
		case err != nil:
			t.WriteString("end: " + err.Error() + "\n")
			return
		case text == "exit":
			return
		}
		verb, rest, _ := strings.Cut(text, " ")
		if act, ok := acts[verb]; ok {
			act(t, rest)
		} else {
			fmt.Fprintf(t, "[%s]\n", text)
		}
	}
}

var acts = map[string]func(t *Terminal, rest string){
	"hold": hold,
	// stay does not end at the first Ctrl-C.
	"stay": func(t *Terminal, rest string) {
		ctx, stop := t.Running(context.Background())
		defer stop()
		t.WriteString("staying\n")
		<-ctx.Done()
		fmt.Fprintf(t, "soft: %v\n", context.Cause(ctx))
		hard := HardContext(ctx)
		<-hard.Done()
		fmt.Fprintf(t, "hard: %v\n", context.Cause(hard))
	},
	// page N shows N lines, page N W lines of W columns.
	"page": func(t *Terminal, rest string) {
		ctx, stop := t.Running(context.Background())
		defer stop()
		p := t.Page()
		count, wide, _ := strings.Cut(rest, " ")
		n, _ := strconv.Atoi(count)
		width, _ := strconv.Atoi(wide)
		for i := 1; i <= n; i++ {
			text := fmt.Sprintf("line %d", i)
			if width > 0 {
				text += " " + strings.Repeat("=", max(0, width-len(text)-2)) + "#"
			}
			if _, err := p.WriteString(text + "\n"); err != nil {
				fmt.Fprintf(p, "stopped: %v\n", err)
				if errors.Is(err, ErrPagerQuit) {
					t.WriteString("quit\n")
				}
				return
			}
		}
		p.Close()
		if ctx.Err() != nil {
			t.WriteString("context: " + ctx.Err().Error() + "\n")
		}
	},
	"widepage": func(t *Terminal, rest string) {
		p := t.Page()
		defer p.Close()
		p.WriteString(strings.Repeat("日", 60) + "\nafter\n")
	},
	"pager": func(t *Terminal, rest string) { t.SetLength(map[string]int{"on": -1, "off": 0}[rest]) },
	"raw": func(t *Terminal, rest string) {
		text, _ := strconv.Unquote(`"` + rest + `"`)
		t.WriteString(text + "\n")
	},
	"progress": func(t *Terminal, rest string) {
		t.Progress("10 %")
		t.Progress("20 % done")
		t.Progress("30 %")
		hold(t, "")
	},
	// later writes while the next line is being edited, when SIGUSR1 comes.
	"later": func(t *Terminal, rest string) {
		now := make(chan os.Signal, 1)
		signal.Notify(now, syscall.SIGUSR1)
		go func() {
			<-now
			t.WriteString("news\n")
		}()
	},
	"ask": func(t *Terminal, rest string) {
		_, stop := t.Running(context.Background())
		defer stop()
		answer, err := t.ReadLine(Line{Prompt: "Sure? [N]> "})
		fmt.Fprintf(t, "%q %v\n", answer, err)
	},
	"secret": func(t *Terminal, rest string) {
		secret, err := t.ReadSecret("Password: ")
		fmt.Fprintf(t, "<%d %v>\n", len(secret), err)
	},
	"flood": func(t *Terminal, rest string) {
		for {
			if _, err := t.WriteString("much\n"); err != nil {
				return
			}
		}
	},
	"count": func(t *Terminal, rest string) {
		open, _ := os.ReadDir("/proc/self/fd")
		fmt.Fprintf(t, "%d goroutines, %d files\n", runtime.NumGoroutine(), len(open))
	},
	"size": func(t *Terminal, rest string) {
		w, h := t.Size()
		fmt.Fprintf(t, "%dx%d\n", w, h)
	},
}

// hold runs until SIGUSR1 comes, or Ctrl-C.
func hold(t *Terminal, _ string) {
	ctx, stop := t.Running(context.Background())
	defer stop()
	free := make(chan os.Signal, 1)
	signal.Notify(free, syscall.SIGUSR1)
	defer signal.Stop(free)
	t.WriteString("holding\n")
	select {
	case <-free:
		t.WriteString("released\n")
	case <-ctx.Done():
		fmt.Fprintf(t, "last words after %v\n", context.Cause(ctx))
	}
}
