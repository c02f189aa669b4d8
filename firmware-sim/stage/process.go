package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is one running program of the stage.
type Process struct {
	Name string
	Log  string // its standard error and output

	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; valid when done is closed
}

// Start runs a program with args; its output goes to a log file in logs, which is appended to.
func Start(logs, name string, env []string, program string, args ...string) (*Process, error) {
	p := &Process{Name: name, Log: filepath.Join(logs, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer out.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w (hint: run make build first)", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// EndedError says that a process is not there any more.
type EndedError struct{ Process *Process }

// Error gives the name, how the process ended, and the last lines of its log.
func (e *EndedError) Error() string {
	return fmt.Sprintf("%s ended: %v\n%s", e.Process.Name, e.Process.err, e.Process.Tail())
}

// Ended returns an [*EndedError] where the process has ended.
func (p *Process) Ended() error {
	select {
	case <-p.done:
		return &EndedError{p}
	default:
		return nil
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process, and what it has started, by SIGKILL and waits for it.
func (p *Process) Kill() {
	if p.Ended() == nil { // what has been waited for may be another's number
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	}
	<-p.done
}

// Stop asks the process to end and waits; one that does not end within ten seconds is killed, which is an error.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.Kill()
		return fmt.Errorf("stopping %s: it did not end when asked (hint: see %s)", p.Name, p.Log)
	}
	if p.err != nil {
		return fmt.Errorf("stopping %s: %w\n%s", p.Name, p.err, p.Tail())
	}
	return nil
}

// Tail gives the last lines of the log.
func (p *Process) Tail() string {
	data, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// Until calls ready every few milliseconds until it returns nil. It gives up when ctx ends or the process does.
func (p *Process) Until(ctx context.Context, what string, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		var gone *EndedError
		if err == nil || errors.As(err, &gone) {
			return err
		}
		select {
		case <-p.done:
			return fmt.Errorf("waiting for %s: %w", what, p.Ended())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w\n%s", what, ctx.Err(), err, p.Tail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
