package server

import (
	"sync"
	"time"
)

// throttle slows down who tries passwords. The zero value works. It is kept in memory: whoever can restart queued needs no
// password.
type throttle struct {
	mu    sync.Mutex
	tries map[string]*trial
}

// trial is what is remembered of one name, address or both.
type trial struct {
	wrong int
	until time.Time // no try before
	last  time.Time
}

// The rule: after some wrong tries each further one waits twice as long as the one before.
const (
	firstWait   = 5 * time.Second
	longestWait = 15 * time.Minute
	forgetAfter = time.Hour
	maxTrials   = 4096
)

// tries gives what a try counts for, with how many wrong ones are free. A name from one address is held to least, so that
// nobody can keep a colleague out from elsewhere for long.
func tries(login, address string) map[string]int {
	return map[string]int{"both " + login + " " + address: 5, "login " + login: 20, "address " + address: 20}
}

// try counts a try as wrong before it is made, so that many at once are no way around. wait says that it must not be made;
// forget takes the count back for one that was right.
func (t *throttle) try(now time.Time, keys map[string]int) (forget func(), wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	for key := range keys {
		if k := t.tries[key]; k != nil {
			wait = max(wait, k.until.Sub(now))
		}
	}
	if wait > 0 {
		return func() {}, wait
	}
	if t.tries == nil {
		t.tries = map[string]*trial{}
	}
	for key, free := range keys {
		k := t.tries[key]
		if k == nil {
			k = &trial{}
			t.tries[key] = k
		}
		k.wrong++
		k.last = now
		if over := k.wrong - free; over >= 0 {
			k.until = now.Add(min(firstWait<<min(over, 10), longestWait))
		}
	}
	return func() { t.forget(keys) }, 0
}

func (t *throttle) forget(keys map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range keys {
		delete(t.tries, key)
	}
}

// sweep forgets what is long ago, and everything where there is far too much: then someone makes names up, and the address
// counts again at once.
func (t *throttle) sweep(now time.Time) {
	if len(t.tries) < maxTrials/2 {
		return
	}
	for key, k := range t.tries {
		if now.Sub(k.last) > forgetAfter || (len(t.tries) >= maxTrials && !now.Before(k.until)) {
			delete(t.tries, key)
		}
	}
}
