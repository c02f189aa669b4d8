//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	mu   sync.Mutex
	left = map[string]int{}
	_    = parse(os.Getenv("LOKET_FAILPOINT"))
)

// parse reads "name" or "name:n": the process dies the n-th time it comes by name (the first, if n is left out).
func parse(spec string) error {
	name, count, _ := strings.Cut(spec, ":")
	n, err := strconv.Atoi(count)
	if err != nil {
		n = 1
	}
	left[name] = n
	return nil
}

// Hit ends the process by SIGKILL where LOKET_FAILPOINT names this point.
func Hit(name string) {
	mu.Lock()
	defer mu.Unlock()
	if left[name]--; left[name] != 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	time.Sleep(time.Minute) // the signal is on its way; nothing may happen after this point
}
