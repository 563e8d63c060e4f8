package sse

import (
	"errors"
	"testing"

	"diagsh/internal/menu"
)

func TestStreamsOfASessionAreBounded(t *testing.T) {
	var p Places
	var leave func()
	for range MaxStreams {
		var err error
		if leave, err = p.Enter("one"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := p.Enter("one")
	if e, ok := errors.AsType[*menu.Error](err); !ok || e.Code != menu.State {
		t.Errorf("one stream more than %d: %v", MaxStreams, err)
	}
	if _, err := p.Enter("other"); err != nil {
		t.Error("the streams of one session keep another one out:", err)
	}
	leave()
	if _, err := p.Enter("one"); err != nil {
		t.Error("a stream that has ended keeps its place:", err)
	}
}
