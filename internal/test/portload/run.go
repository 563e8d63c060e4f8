package portload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"diagsh/internal/test/portload/truth"
)

// A Load is how much of the workload is done.
type Load struct {
	N       int     // sockets of each class
	Rate    float64 // connections a second, of the class that is paced
	Seconds float64 // how long it lasts
	Classes string  // a pattern: only these; empty: all

	// Left and Right are paths of network namespaces that the load joins by its cable; empty: it makes
	// some.
	Left, Right string
}

// Build builds the workload's program in a folder.
func Build(dir string) (program string, err error) { return buildFor(dir, runtime.GOARCH) }

// buildFor is Build for another architecture.
func buildFor(dir, architecture string) (program string, err error) {
	program = filepath.Join(dir, "load")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-w", "-o", program,
		"diagsh/internal/test/portload/load")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+architecture)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the workload: %w\n%s", err, out)
	}
	return program, nil
}

// A Report is what the workload says at its end.
type Report struct {
	Connections int     `json:"connections"` // of the class that is paced
	CPUSeconds  float64 `json:"cpuSeconds"`  // of all its processes
}

// Run runs the workload. It calls watch when the sockets that are older than the log exist, and goes
// on when watch returns.
func (l Load) Run(ctx context.Context, program string, watch func() error) ([]truth.Truth, Report, error) {
	var report Report
	dir, err := os.MkdirTemp(filepath.Dir(program), "truth-")
	if err != nil {
		return nil, report, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "truth.ndjson")
	c := exec.CommandContext(ctx, program, "run", "-truth", path, "-n", strconv.Itoa(l.N), "-rate", fmt.Sprint(l.Rate),
		"-seconds", fmt.Sprint(l.Seconds), "-classes", l.Classes, "-left", l.Left, "-right", l.Right)
	c.Stderr = os.Stderr
	// Its processes are a group of their own, which ends together.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	in, err := c.StdinPipe()
	if err != nil {
		return nil, report, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, report, err
	}
	if err := c.Start(); err != nil {
		return nil, report, err
	}
	lines := bufio.NewReader(out)
	if err := conduct(lines, in, watch, &report); err != nil {
		c.Cancel()
		return nil, report, errors.Join(err, c.Wait())
	}
	if err := c.Wait(); err != nil {
		return nil, report, fmt.Errorf("the workload: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, report, err
	}
	defer f.Close()
	truths, err := truth.Read(f)
	return truths, report, err
}

func conduct(lines *bufio.Reader, in io.Writer, watch func() error, report *Report) error {
	if _, err := lines.ReadString('\n'); err != nil {
		return fmt.Errorf("the workload did not begin: %w", err)
	}
	if err := watch(); err != nil {
		return err
	}
	if _, err := io.WriteString(in, "\n"); err != nil {
		return err
	}
	text, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the workload did not come to its end: %w", err)
	}
	return json.Unmarshal(text, report)
}
