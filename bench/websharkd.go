package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// A sharkd is Wireshark's server of packets, with a file.
type sharkd struct {
	server
	ask     io.WriteCloser
	answers *bufio.Reader
	asked   int
}

// startSharkd starts a sharkd that has loaded a file.
func (w *webBench) startSharkd(ctx context.Context, file string) (*sharkd, error) {
	s := &sharkd{server: server{cmd: w.wireshark(ctx, "sharkd", "-")}}
	var err error
	if s.ask, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.answers = bufio.NewReaderSize(out, 1<<20)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := s.call("load", map[string]any{"file": file}); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// sharkdLoad returns how long it takes from sharkd's start until it has loaded a file and told its
// first frames.
func (w *webBench) sharkdLoad(ctx context.Context, file string) (time.Duration, error) {
	began := time.Now()
	s, err := w.startSharkd(ctx, file)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	_, err = s.frames("", 0)
	return time.Since(began), err
}

// frames asks for a page of frames behind as many that a filter selects, and returns how long it
// took until they were here.
func (s *sharkd) frames(filter string, skip int) (time.Duration, error) {
	parameters := map[string]any{"limit": packetRows}
	if skip > 0 {
		parameters["skip"] = skip
	}
	if filter != "" {
		parameters["filter"] = filter
	}
	began := time.Now()
	answer, err := s.call("frames", parameters)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	var frames []struct {
		Number int `json:"num"`
	}
	if err := json.Unmarshal(answer, &frames); err != nil {
		return 0, fmt.Errorf("sharkd: %w", err)
	}
	if len(frames) != packetRows || filter == "" && frames[0].Number != skip+1 {
		return 0, fmt.Errorf("sharkd has %d frames behind %d, not %d", len(frames), skip, packetRows)
	}
	return took, nil
}

// call calls a method and returns its result.
func (s *sharkd) call(method string, parameters map[string]any) (json.RawMessage, error) {
	s.asked++
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": s.asked, "method": method, "params": parameters})
	if err != nil {
		return nil, err
	}
	if _, err := s.ask.Write(append(text, '\n')); err != nil {
		return nil, err
	}
	for {
		line, err := s.answers.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("sharkd: %s: %w", method, err)
		}
		var answer struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if json.Unmarshal(line, &answer) != nil || answer.ID != s.asked {
			continue // what it says for people
		}
		if answer.Error != nil {
			return nil, fmt.Errorf("sharkd: %s: %s", method, strconv.Quote(string(answer.Error)))
		}
		return answer.Result, nil
	}
}
