package term

import (
	"strings"
	"time"
	"unicode/utf8"
)

const (
	keyKillLine = "\x15" // Ctrl-U
	keyKillWord = "\x17" // Ctrl-W

	secretLimit = 1024
)

// ReadSecret reads a line that is neither shown nor remembered. Its errors are those of ReadLine.
func (t *Terminal) ReadSecret(prompt string) (string, error) {
	t.screen.show(line{prompt: scrubbed(prompt)})
	secret, err := t.secret()
	shown := ""
	if err == ErrInterrupted {
		shown = "^C"
	}
	t.screen.keep(line{prompt: scrubbed(prompt), text: shown})
	return secret, err
}

func (t *Terminal) secret() (string, error) {
	ctx := t.runningContext()
	var typed strings.Builder
	for {
		if err := t.keys.wait(ctx, t.idleDeadline()); err != nil {
			return "", idle(err)
		}
		k, _ := t.keys.takeRune()
		switch {
		case k == "":
		case k == keyEnter:
			return typed.String(), nil
		case k == keyInterrupt:
			return "", ErrInterrupted
		case k == keyEOF && typed.Len() == 0:
			return "", ErrEnd
		case k == keyKillLine || k == keyKillWord:
			typed.Reset()
		case k == keyBackspace || k == keyCtrlH:
			s := typed.String()
			_, size := utf8.DecodeLastRuneInString(s)
			typed.Reset()
			typed.WriteString(s[:len(s)-size])
		case (key{seq: k}).isText() && typed.Len()+len(k) <= secretLimit:
			typed.WriteString(k)
		}
	}
}

// idleDeadline returns when a wait for a key that begins now ends; zero is never.
func (t *Terminal) idleDeadline() time.Time {
	if t.opts.Idle == 0 {
		return time.Time{}
	}
	return time.Now().Add(t.opts.Idle)
}

// idle converts the end of a wait to the exported error.
func idle(err error) error {
	if err == errTimeout {
		return ErrIdle
	}
	return err
}
