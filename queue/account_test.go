package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func member(t *testing.T, texts ...string) Account {
	t.Helper()
	a := Account{ID: "ac_aaaaaaaaaaaaaaaa", Login: "someone"}
	for _, text := range texts {
		m, err := ParseMembership(text)
		if err != nil {
			t.Fatal(err)
		}
		a.Roles = append(a.Roles, m)
	}
	return a
}

func TestARoleIsARoleInAnOrganisation(t *testing.T) {
	const ind, town = "immigration-service", "municipality"
	all := []Right{SeeTicket, SeeName, SeeLedger, Queueing, Assisting, Requeuing, Locking}
	for _, x := range []struct {
		role, organisation string
		may                []Right
	}{
		{"immigration-officer@" + ind, ind, []Right{SeeTicket, SeeName, SeeLedger, Queueing, Assisting}},
		{"immigration-officer@" + ind, town, nil},
		{"municipal-clerk@" + town, town, []Right{SeeTicket, SeeName, Queueing}},
		{"municipal-clerk@" + town, ind, nil},
		{"municipal-clerk@" + ind, ind, []Right{SeeTicket, SeeName, Queueing}}, // never a ledger, wherever
		{"attendant", ind, []Right{SeeTicket, SeeLedger, Queueing, Assisting, Locking}},
		{"supervisor", town, []Right{SeeTicket, SeeLedger, Queueing, Assisting, Locking, Requeuing}},
	} {
		a := member(t, x.role)
		for _, r := range all {
			if got := a.May(r, x.organisation); got != slices.Contains(x.may, r) {
				t.Errorf("%s may %s for %s: %v", x.role, r, x.organisation, got)
			}
		}
	}
	both := member(t, "municipal-clerk@"+town, "immigration-officer@"+ind)
	if both.May(SeeLedger, town) || !both.May(SeeLedger, ind) || both.MayAnywhere(Locking) {
		t.Error("the rights of two roles are mixed up")
	}
}

func TestRolesThatCannotBeAreRefused(t *testing.T) {
	for _, bad := range []string{"", "@", "king", "king@municipality", "municipal-clerk", "municipal-clerk@", "municipal-clerk@centre", "attendant@municipality",
		"immigration-officer@" + strings.Repeat("x", 65)} {
		if m, err := ParseMembership(bad); err == nil {
			t.Errorf("%q is %v", bad, m)
		}
	}
	for _, bad := range []Account{{Login: "A", Roles: member(t, "attendant").Roles}, {Login: "someone"}, {Login: "some one", Roles: member(t, "attendant").Roles}} {
		if bad.Check() == nil {
			t.Errorf("login %q with %d roles is good", bad.Login, len(bad.Roles))
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", member(t, "attendant"), member(t, "attendant"), member(t, "attendant")); strings.Contains(text, "someone") {
		t.Errorf("an account tells its login: %s", text)
	}
}

func TestWhatIsTakenBackWaitsOrIsAsideAsBefore(t *testing.T) {
	for _, s := range States() {
		for _, was := range []State{Waiting, Called, Parked, NoShow} {
			before := at(s)
			got, err := before.Undo(was, now)
			aside := s == Parked || s == NoShow || s == Cancelled
			if !aside {
				if !errors.Is(err, ErrOutOfPlace) || got.State != s {
					t.Errorf("taking back while %s: %s, %v", s, got.State, err)
				}
				continue
			}
			want, rank := was, Normal
			if was == Called {
				want, rank = Waiting, Front // it can't go back to its station
			}
			if err != nil || got.State != want || got.Rank != rank || got.Station != "" {
				t.Errorf("%s that was %s: %s, rank %d, %v", s, was, got.State, got.Rank, err)
			}
		}
	}
}
