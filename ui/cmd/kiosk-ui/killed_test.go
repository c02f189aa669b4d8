//go:build cgo && window

package main

import (
	"slices"
	"testing"
	"time"

	"loket/firmware-sim/stage"
)

// stops are the pages at which a process is killed.
var stops = []string{"attract", "code", "confirm", "today", "face", "fingers", "review", "done"}

// reach goes to a page and no further.
func (a *applicant) reach(page string) {
	a.t.Helper()
	does := []struct{ page, target string }{{"attract", "language-en"}, {"code", "code-primary"}, {"confirm", "confirm-primary"},
		{"today", "today-primary"}, {"face", ""}, {"fingers", ""}, {"review", "review-primary"}, {"done", ""}}
	for _, d := range does {
		a.on(d.page)
		if d.page == page {
			return
		}
		if d.page == "code" {
			a.taps(string(a.ticket.Code))
		}
		if d.target != "" {
			a.touch(d.target)
		}
	}
}

// after forgets what was seen so far and waits for one of some pages.
func (a *applicant) after(pages ...string) {
	a.t.Helper()
	a.page, a.pages = note{}, nil
	a.on(pages...)
}

func TestAScreenThatIsKilledComesBackWhereTheSessionIs(t *testing.T) {
	a := arrived(t, 1500*time.Millisecond)
	back := map[string][]string{ // pages of a session stay; what was typed is forgotten
		"attract": {"attract"}, "code": {"attract"}, "confirm": {"confirm"}, "today": {"confirm"}, "face": {"face", "fingers", "review"},
		"fingers": {"fingers", "review"}, "review": {"review"}, "done": {"attract"},
	}
	for _, page := range stops {
		t.Run(page, func(t *testing.T) {
			a.reach(page)
			a.kill()
			a.notice()
			a.open()
			a.after(slices.Concat(back[page])...)
			if page != "done" {
				a.walk("en", a.touch, a.taps, nil)
			}
			a.receipt()
			if page != "done" {
				a.touch("done-primary")
			}
			a.issue()
		})
	}
}

func TestADaemonThatIsKilledIsMissedCalmlyAndTheEndIsSaidHonestly(t *testing.T) {
	a := arrived(t, 1500*time.Millisecond)
	then := map[string]string{"attract": "attract", "code": "code", "confirm": "lost", "today": "lost", "face": "lost", "fingers": "lost",
		"review": "lost", "done": "done"}
	for _, page := range stops {
		t.Run(page, func(t *testing.T) {
			a.reach(page)
			a.Procs[stage.Kioskd].Kill()
			a.after("offline")
			if err := a.Start(stage.Kioskd); err != nil {
				t.Fatal(err)
			}
			a.after(then[page])
			if then[page] == "lost" {
				a.touch("done-primary")
			}
			if page != "done" {
				a.walk("en", a.touch, a.taps, nil)
			}
			a.receipt()
			a.touch("done-primary")
			a.issue()
		})
	}
}
