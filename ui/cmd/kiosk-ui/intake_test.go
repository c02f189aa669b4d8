//go:build cgo && window

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"loket/kiosk/biometric"
	"loket/ui"
)

// through are the pages that every intake shows.
var through = []string{"attract", "code", "confirm", "today", "face", "fingers", "review", "done"}

func (a *applicant) saw(pages []string) {
	a.t.Helper()
	at := 0
	for _, p := range a.pages {
		if at < len(pages) && p == pages[at] {
			at++
		}
	}
	if at < len(pages) {
		a.t.Errorf("page %q was not shown, or out of order: %q", pages[at], a.pages)
	}
}

func TestAWholeIntakeByTouch(t *testing.T) {
	a := arrived(t, 100*time.Millisecond)
	a.issue(biometric.Signature)
	a.walk("nl", a.touch, a.taps, nil)
	a.saw(slices.Insert(slices.Clone(through), 6, "signature"))
	a.receipt()
}

func TestAWholeIntakeByKeysAlone(t *testing.T) {
	a := arrived(t, 100*time.Millisecond)
	a.walk("en", a.choose, a.keys, nil)
	a.saw(through)
	a.receipt()
}

func TestAWholeIntakeInArabic(t *testing.T) {
	a := arrived(t, 100*time.Millisecond)
	a.walk("ar", a.touch, a.taps, func(page string) {
		if page == "review" && (len(a.heard) == 0 || !strings.ContainsAny(a.heard[len(a.heard)-1], "ابتثجح")) {
			t.Errorf("on page %s the ear heard %q", page, a.heard)
		}
	})
	a.saw(through)
	a.receipt()
}

// The ear knows the words of its language and nothing of what is drawn: neither pages nor the focus.
func TestAWholeIntakeByEar(t *testing.T) {
	a := arrived(t, 100*time.Millisecond)
	words, err := ui.NewWords()
	if err != nil {
		t.Fatal(err)
	}
	say := func(id string) string { return words.Say("en", id) }
	heard := func(from int, text string) bool {
		return slices.ContainsFunc(a.heard[from:], func(s string) bool { return strings.Contains(s, text) })
	}
	// find presses Tab until a name is heard, and then Enter.
	find := func(name string) {
		t.Helper()
		for range 80 {
			n := len(a.heard)
			a.xdo("key", "Tab")
			a.until("a word after Tab", func() bool { return len(a.heard) > n })
			if a.heard[len(a.heard)-1] == name {
				a.xdo("key", "Return")
				return
			}
		}
		t.Fatalf("%q was not heard; last: %q", name, a.heard[len(a.heard)-5:])
	}
	at := 0
	follow := func(title string) {
		t.Helper()
		a.until(title, func() bool { return heard(at, title) })
		at = len(a.heard)
	}
	a.until("a welcome", func() bool { return len(a.heard) > 0 })
	find("English")
	follow(say("code-title"))
	for _, c := range strings.ToLower(string(a.ticket.Code)) {
		a.xdo("key", string(c))
	}
	follow(say("code-primary")) // the focus is there by itself
	a.xdo("key", "Return")
	follow(say("confirm-title"))
	find(say("confirm-primary"))
	follow(say("today-title"))
	find(say("today-primary"))
	follow(say("face-title"))
	follow(say("fingers-title"))
	follow(say("review-title"))
	find(say("review-primary"))
	follow(say("done-title"))
	a.receipt()
	for _, s := range a.heard {
		if strings.Contains(s, string(a.ticket.Code)) {
			t.Error("the code was spoken")
		}
	}
}
