package store

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loket/queue"
)

const password = "four words that differ"

// office is a store whose time stands still until it is moved.
type office struct {
	*Store
	now time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "queue.db"), Options{Now: func() time.Time { return o.now }, Cost: Cost{Time: 1, Memory: 8, Lanes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Store = s
	return o
}

func (o *office) add(t *testing.T, login string) string {
	t.Helper()
	id, err := o.AddAccount(t.Context(), queue.Account{Login: login, Roles: []queue.Membership{{Role: queue.AttendantRole, Organisation: queue.Centre}}}, password)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (o *office) signIn(t *testing.T, login string) Login {
	t.Helper()
	l, err := o.SignIn(t.Context(), login, password)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOnlyTheRightPasswordSignsIn(t *testing.T) {
	o := newOffice(t)
	id := o.add(t, "someone")
	if l := o.signIn(t, "someone"); l.Account.ID != id || !l.Account.May(queue.Locking, "") || len(l.Token) < 43 {
		t.Errorf("signed in as %v with %d roles", l.Account, len(l.Account.Roles))
	}
	for name, x := range map[string][2]string{"wrong": {"someone", password + "."}, "empty": {"someone", ""}, "nobody": {"nobody", password},
		"long": {"someone", password + strings.Repeat(" ", maxPassword)}} {
		if _, err := o.SignIn(t.Context(), x[0], x[1]); !errors.Is(err, ErrSignIn) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.AddAccount(t.Context(), queue.Account{Login: "someone", Roles: o.signIn(t, "someone").Account.Roles}, password); !errors.Is(err, ErrLogin) {
		t.Errorf("added twice: %v", err)
	}
	if _, err := o.AddAccount(t.Context(), queue.Account{Login: "other", Roles: o.signIn(t, "someone").Account.Roles}, "short"); err == nil {
		t.Error("a short password is good")
	}
}

func TestALoginEndsByIdlenessByItsLimitAndBySigningOut(t *testing.T) {
	o := newOffice(t)
	o.add(t, "someone")
	ctx := t.Context()
	idle := o.signIn(t, "someone")
	o.now = o.now.Add(LoginIdle + time.Second)
	if _, err := o.Login(ctx, idle.Token); !errors.Is(err, ErrSignedOut) {
		t.Errorf("idle: %v", err)
	}
	busy := o.signIn(t, "someone")
	token, began := busy.Token, o.now
	for {
		o.now = o.now.Add(LoginIdle / 2)
		l, err := o.Login(ctx, token)
		if errors.Is(err, ErrSignedOut) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if l.Token != "" {
			token = l.Token
		}
	}
	if lasted := o.now.Sub(began); lasted <= LoginLimit || lasted > LoginLimit+LoginIdle {
		t.Errorf("it lasted %s", lasted)
	}
	out := o.signIn(t, "someone")
	if err := o.SignOut(ctx, out.ID); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{out.Token, "", "x", strings.Repeat("x", 65)} {
		if _, err := o.Login(ctx, token); !errors.Is(err, ErrSignedOut) {
			t.Errorf("signed out: %v", err)
		}
	}
}

func TestATokenIsTurnedAndTheOneBeforeDies(t *testing.T) {
	o := newOffice(t)
	o.add(t, "someone")
	ctx := t.Context()
	call := func(token string) (string, error) {
		l, err := o.Login(ctx, token)
		return l.Token, err
	}
	first := o.signIn(t, "someone").Token
	if again, err := call(first); again != "" || err != nil {
		t.Fatalf("turned at once: %v", err)
	}
	o.now = o.now.Add(rotateEvery)
	second, err := call(first)
	if second == "" || second == first || err != nil {
		t.Fatalf("not turned: %v", err)
	}
	if again, err := call(first); again != "" || err != nil {
		t.Errorf("a call that was on its way: %v", err)
	}
	o.now = o.now.Add(rotationTime)
	third, err := call(first) // the answer with the second was lost
	if third == "" || err != nil {
		t.Fatalf("a lost answer signs out: %v", err)
	}
	if _, err := call(second); !errors.Is(err, ErrSignedOut) {
		t.Errorf("the lost token is good: %v", err)
	}
	o.now = o.now.Add(rotationTime)
	if _, err := call(third); err != nil {
		t.Fatal(err)
	}
	if _, err := call(first); !errors.Is(err, ErrSignedOut) {
		t.Errorf("the first token is good for ever: %v", err)
	}
}

func TestANewPasswordAndADisabledAccountSignOut(t *testing.T) {
	o := newOffice(t)
	o.add(t, "someone")
	ctx := t.Context()
	l := o.signIn(t, "someone")
	if err := o.SetPassword(ctx, "someone", "another four words here"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Login(ctx, l.Token); !errors.Is(err, ErrSignedOut) {
		t.Errorf("after a new password: %v", err)
	}
	if l, err := o.SignIn(ctx, "someone", "another four words here"); err != nil {
		t.Error(err)
	} else if err := o.Disable(ctx, "someone", true); err != nil {
		t.Error(err)
	} else if _, err := o.LoginByID(ctx, l.ID); !errors.Is(err, ErrSignedOut) {
		t.Errorf("after it was disabled: %v", err)
	}
	if _, err := o.SignIn(ctx, "someone", "another four words here"); !errors.Is(err, ErrSignIn) {
		t.Errorf("disabled: %v", err)
	}
	if err := o.Disable(ctx, "nobody", true); !errors.Is(err, ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	if list, err := o.Accounts(ctx); err != nil || len(list) != 1 || !list[0].Disabled {
		t.Errorf("%v, %v", list, err)
	}
}

func TestADecisionIsTakenBackByItsAuthorForAWhile(t *testing.T) {
	o := newOffice(t)
	ctx := t.Context()
	b, _, err := o.Put(ctx, Appointment{Owner: "o", Ref: "r", Guests: []Guest{{Reference: "V-1", Name: "Ada", BirthDate: "1990-02-01",
		Services: []Wanted{{Service: "residence-permit"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	id := b.Tickets[0].ID
	decide := func(act queue.Act) {
		t.Helper()
		if _, _, err := o.Decide(ctx, id, Decision{Act: act, Author: "ac_me"}); err != nil {
			t.Fatal(err)
		}
	}
	undone := func(author string) (queue.State, queue.Rank) {
		t.Helper()
		v, err := o.Undo(ctx, id, author)
		if err != nil {
			t.Fatal(err)
		}
		return v.Ticket.State, v.Ticket.Rank
	}
	late := func(what, author string) {
		t.Helper()
		if _, err := o.Undo(ctx, id, author); !errors.Is(err, queue.ErrTooLate) {
			t.Errorf("%s: %v", what, err)
		}
	}
	late("what nobody decided", "")
	decide(queue.ActPark)
	late("another's", "ac_other")
	if s, _ := undone("ac_me"); s != queue.Waiting {
		t.Errorf("parked, taken back: %s", s)
	}
	late("twice", "ac_me")
	decide(queue.ActPark)
	decide(queue.ActCancel)
	if s, _ := undone("ac_me"); s != queue.Parked {
		t.Errorf("parked, cancelled, taken back: %s", s)
	}
	decide(queue.ActRecall)
	late("a recall", "ac_me")
	if _, err := o.Call(ctx, "kiosk-1", Request{ID: "request-1"}); err != nil {
		t.Fatal(err)
	}
	decide(queue.ActNoShow)
	if s, rank := undone("ac_me"); s != queue.Waiting || rank != queue.Front {
		t.Errorf("called, no show, taken back: %s, rank %d", s, rank)
	}
	decide(queue.ActCancel)
	o.now = o.now.Add(queue.UndoIn + time.Second)
	late("after a while", "ac_me")
}

func TestWhatWasOrderedIsKeptOnce(t *testing.T) {
	o := newOffice(t)
	ctx := context.Background()
	b, _, err := o.Put(ctx, Appointment{Owner: "o", Ref: "r", Guests: []Guest{{Reference: "V-1", Name: "Ada", BirthDate: "1990-02-01",
		Services: []Wanted{{Service: "residence-permit"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"one", "one", "two"} {
		if err := o.Ordered(ctx, Event{Ticket: b.Tickets[0].ID, Attempt: 1, Author: "ac_me", Detail: "resume", Request: request}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := o.Chain(ctx, b.Tickets[0].ID)
	if err != nil || len(c.Events) != 3 || c.Events[1].Kind != KindOrdered {
		t.Errorf("%+v, %v", c.Events, err)
	}
}

func TestAPasswordsHashIsItsOwnEachTime(t *testing.T) {
	cost := Cost{Time: 1, Memory: 8, Lanes: 1}
	one, two := cost.hash(password), cost.hash(password)
	if one == two || strings.Contains(one, password) {
		t.Error("a hash tells something")
	}
	p, err := parseHash(one)
	if err != nil || !p.matches(password) || p.matches(password+".") {
		t.Errorf("%v", err)
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(Cost{Time: 1, Memory: 8, Lanes: 1}.hash(password))
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseHash(text)
		if err == nil && (p.Memory > 1<<20 || p.Time > 64 || len(p.key) > 64) {
			t.Errorf("%q would cost too much", text)
		}
	})
}
