package umockdev

import (
	"os/exec"
	"syscall"
)

// contain makes umockdev-run and the test below it one group, so that a time-out ends both.
func contain(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
