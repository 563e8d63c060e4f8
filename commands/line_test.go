package commands_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"diagsh/internal/menu"
)

// A line means the same when it is sent and when it is typed. The test uses the keywords of every
// command, their beginnings, values that are beginnings of keywords, and flags, in any order. At a
// prompt more is understood, never something else.
func TestTypedAndSentLinesAreUnderstoodAlike(t *testing.T) {
	tree := tree()
	tree.Others = nil // words of other systems change what a refusal says, and refusals are not compared
	random := rand.New(rand.NewPCG(9, 9))
	understood, total := 0, 0
	tree.Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok {
			return
		}
		words := []string{"x1", "25", "yes", "no", "10s", "192.0.2.1", `"w"`, "--json"}
		for _, p := range c.Params {
			for n := 1; n <= min(3, len(p.Name)); n++ {
				words = append(words, p.Name[:n])
			}
			words = append(append(words, p.Name, p.Name), p.Choices...)
			for _, f := range p.Flags {
				name, _, _ := strings.Cut(f, "=")
				words = append(words, name)
			}
		}
		for range 3000 {
			line := strings.Join(path, " ")
			for range random.IntN(6) {
				line += " " + words[random.IntN(len(words))]
			}
			total++
			sent, err := tree.Parse(nil, line, false, nil)
			if err != nil || !chosen(c, sent[0].Arguments) {
				continue
			}
			understood++
			if typed, err := tree.Parse(nil, line, true, nil); err != nil || !reflect.DeepEqual(typed, sent) {
				t.Fatalf("%s\nsent:  %+v\ntyped: %+v (%v)", line, sent, typed, err)
			}
		}
	})
	if understood < total/20 {
		t.Errorf("only %d of %d lines were understood, so little was compared", understood, total)
	}
}

// chosen reports whether arguments are choices where the declaration has some. What a sent line has
// else there is refused when it is run; typed, it may be the beginning of a choice.
func chosen(c *menu.Command, args menu.Arguments) bool {
	for _, p := range c.Params {
		for _, word := range menu.SplitList(args[p.Name]) {
			if len(p.Choices) > 0 && !slices.ContainsFunc(p.Choices, func(c string) bool { return strings.EqualFold(c, word) }) {
				return false
			}
		}
	}
	return true
}

// The lines of which a beginning of a keyword was taken for the keyword, where the main value was
// meant.
func TestMainValueThatBeginsAKeyword(t *testing.T) {
	for _, c := range []struct {
		line string
		want menu.Arguments
	}{
		{"userconfig new ro role readonly", menu.Arguments{"user": "ro", "role": "readonly"}},
		{"packetcapture start du duration 1s", menu.Arguments{"name": "du", "durationseconds": "1s"}},
		{"packetcapture start i interface lo", menu.Arguments{"name": "i", "interfaces": "lo"}},
		{"userconfig key admin new 'ssh-ed25519 AAAA'",
			menu.Arguments{"user": "admin", "action": "new", "key": "ssh-ed25519 AAAA"}},
		{"userconfig key k delete SHA256:x", menu.Arguments{"user": "k", "action": "delete", "key": "SHA256:x"}},
		{"userconfig key admin action new key 'ssh-ed25519 AAAA'",
			menu.Arguments{"user": "admin", "action": "new", "key": "ssh-ed25519 AAAA"}},
		{"userconfig role ann operator", menu.Arguments{"user": "ann", "role": "operator"}},
	} {
		for _, typed := range []bool{false, true} {
			calls, err := tree().Parse(nil, c.line, typed, nil)
			if err != nil || len(calls) != 1 || !reflect.DeepEqual(calls[0].Arguments, c.want) {
				t.Errorf("%s (typed: %v): %+v, %v", c.line, typed, calls, err)
			}
		}
	}
	for _, typed := range []bool{false, true} {
		_, err := tree().Parse(nil, "packetcapture start du 10s", typed, nil)
		if err == nil || !strings.Contains(err.Error(),
			`du was taken for the name; keywords are written whole here: durationseconds 10s`) {
			t.Errorf("a keyword that was not written whole (typed: %v): %v", typed, err)
		}
	}
}

// A required argument after the main value may be given there without its keyword, in the order in
// which the dialogue asks for it. A secret and a confirmation are said by their names.
func TestRequiredArgumentsHaveAPlace(t *testing.T) {
	tree().Walk(func(path []string, item menu.Item) {
		main := false
		for _, p := range paramsOf(item) {
			main = main || p.Main && p.Required
			if main && !p.Main && p.Required && !p.Next && !strings.HasPrefix(p.Type, "secret") {
				t.Errorf("%s: %s is required and has no place behind the main value", strings.Join(path, " "), p.Name)
			}
		}
	})
}
