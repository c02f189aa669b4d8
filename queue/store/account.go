package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"loket/queue"
	"loket/queue/store/db"
)

// The limits of being signed in.
const (
	LoginIdle    = 30 * time.Minute // without a call
	LoginLimit   = 12 * time.Hour   // whatever happens
	rotateEvery  = 10 * time.Minute
	rotationTime = time.Minute // for calls that were on their way with the token before
	seenEvery    = time.Minute // how exactly idleness is known
)

// What callers branch on.
var (
	ErrSignIn    = errors.New("the name or the password is not right")
	ErrSignedOut = errors.New("nobody is signed in")
	ErrLogin     = errors.New("another account has this login")
)

// Login is someone signed in.
type Login struct {
	ID      string
	Account queue.Account
	Token   string    // a secret of the browser; empty where it keeps the one that it has
	Idle    time.Time // until then without another call
	Ends    time.Time // whatever happens
}

// AddAccount keeps an account with its password and gives its id.
func (s *Store) AddAccount(ctx context.Context, a queue.Account, password string) (string, error) {
	if err := errors.Join(a.Check(), CheckPassword(password)); err != nil {
		return "", fmt.Errorf("adding an account: %w", err)
	}
	id, hash := queue.NewID(queue.AccountID), s.opts.Cost.hash(password)
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		_, err := tx.AccountByLogin(ctx, a.Login)
		if err == nil {
			return ErrLogin
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := tx.InsertAccount(ctx, db.InsertAccountParams{ID: id, Login: a.Login, Password: hash, Created: s.now().UnixMilli()}); err != nil {
			return err
		}
		for _, m := range a.Roles {
			if err := tx.InsertMembership(ctx, db.InsertMembershipParams{Account: id, Organisation: m.Organisation, Role: string(m.Role)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("adding an account: %w", err)
	}
	return id, nil
}

// SetPassword gives an account another password. Whoever is signed in with it is signed out.
func (s *Store) SetPassword(ctx context.Context, login, password string) error {
	if err := CheckPassword(password); err != nil {
		return err
	}
	hash := s.opts.Cost.hash(password)
	return s.alter(ctx, login, func(ctx context.Context, tx *tx, id string) error {
		_, err := tx.SetPassword(ctx, db.SetPasswordParams{Password: hash, ID: id})
		return err
	})
}

// Disable keeps an account from signing in, or lets it again. Whoever is signed in with it is signed out.
func (s *Store) Disable(ctx context.Context, login string, disabled bool) error {
	return s.alter(ctx, login, func(ctx context.Context, tx *tx, id string) error {
		_, err := tx.SetDisabled(ctx, db.SetDisabledParams{Disabled: toInt(disabled), ID: id})
		return err
	})
}

func (s *Store) alter(ctx context.Context, login string, do func(ctx context.Context, tx *tx, id string) error) error {
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		row, err := tx.AccountByLogin(ctx, login)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrUnknown
		}
		if err == nil {
			err = do(ctx, tx, row.ID)
		}
		if err == nil {
			err = tx.DeleteLoginsOf(ctx, row.ID)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("changing an account: %w", err)
	}
	return nil
}

// Accounts lists all accounts by login.
func (s *Store) Accounts(ctx context.Context) ([]queue.Account, error) {
	rows, err := s.read.Accounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	list := make([]queue.Account, 0, len(rows))
	for _, row := range rows {
		a, err := s.account(ctx, row)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func (s *Store) account(ctx context.Context, row db.Account) (queue.Account, error) {
	a := queue.Account{ID: row.ID, Login: row.Login, Disabled: row.Disabled != 0}
	rows, err := s.read.MembershipsOf(ctx, row.ID)
	if err != nil {
		return queue.Account{}, fmt.Errorf("reading account %s: %w", row.ID, err)
	}
	for _, m := range rows {
		a.Roles = append(a.Roles, queue.Membership{Role: queue.Role(m.Role), Organisation: m.Organisation})
	}
	return a, nil
}

// SignIn tries a login and a password. [ErrSignIn] says that they don't fit, in the same time whichever of them is wrong. It
// costs memory and time: how many try at once is the caller's to bound.
func (s *Store) SignIn(ctx context.Context, login, password string) (Login, error) {
	row, err := s.read.AccountByLogin(ctx, login)
	known := err == nil && row.Disabled == 0
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Login{}, fmt.Errorf("signing in: %w", err)
	}
	against := parsed{Cost: s.opts.Cost, salt: make([]byte, 16), key: make([]byte, 32)} // that nothing matches
	if known {
		if against, err = parseHash(row.Password); err != nil {
			return Login{}, fmt.Errorf("signing in account %s: %w", row.ID, err)
		}
	}
	if len(password) > maxPassword || !against.matches(password) || !known {
		return Login{}, ErrSignIn
	}
	a, err := s.account(ctx, row)
	if err != nil {
		return Login{}, err
	}
	l := Login{ID: queue.NewID("lo"), Account: a, Token: newToken()}
	err = s.change(ctx, func(ctx context.Context, tx *tx) error {
		still, err := tx.AccountByLogin(ctx, login)
		if err != nil {
			return err
		}
		if still.Password != row.Password || still.Disabled != 0 {
			return ErrSignIn // it was changed while it was tried
		}
		now := s.now()
		l.Idle, l.Ends = now.Add(LoginIdle), now.Add(LoginLimit)
		old := db.DeleteOldLoginsParams{Created: now.Add(-LoginLimit).UnixMilli(), Seen: now.Add(-LoginIdle - seenEvery).UnixMilli()}
		if err := tx.DeleteOldLogins(ctx, old); err != nil {
			return err
		}
		at := now.UnixMilli()
		return tx.InsertLogin(ctx, db.InsertLoginParams{ID: l.ID, Account: a.ID, Token: digest(l.Token), Rotated: at, Created: at, Seen: at})
	})
	if err != nil {
		return Login{}, fmt.Errorf("signing in account %s: %w", a.ID, err)
	}
	return l, nil
}

func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Login finds who is signed in by a token, and counts as a call. Now and then it gives another token; the one before stays
// good until the new one was used for a while, so that an answer that is lost signs nobody out. [ErrSignedOut] says that
// nobody is, or not any more.
func (s *Store) Login(ctx context.Context, token string) (Login, error) {
	if token == "" || len(token) > 64 {
		return Login{}, ErrSignedOut
	}
	kept := digest(token)
	row, err := s.read.LoginByToken(ctx, kept)
	if errors.Is(err, sql.ErrNoRows) {
		return Login{}, ErrSignedOut
	}
	if err != nil {
		return Login{}, fmt.Errorf("reading who is signed in: %w", err)
	}
	l, err := s.login(ctx, row.Login, row.Account)
	if err != nil {
		return Login{}, err
	}
	next, fresh := turn(row.Login, kept, s.now())
	if next == row.Login {
		return l, nil
	}
	err = s.change(ctx, func(ctx context.Context, tx *tx) error {
		now, err := tx.LoginByID(ctx, row.Login.ID)
		if err != nil || now.Login.Token != row.Login.Token {
			fresh = "" // another call was quicker
			return err
		}
		return tx.SetLogin(ctx, db.SetLoginParams{Token: next.Token, Previous: next.Previous, Rotated: next.Rotated, Seen: next.Seen, ID: next.ID})
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Login{}, ErrSignedOut
	}
	if err != nil {
		return Login{}, fmt.Errorf("keeping who is signed in: %w", err)
	}
	l.Token, l.Idle = fresh, fromTime(next.Seen).Add(LoginIdle)
	return l, nil
}

// turn gives what is kept of a login after a call with one of its tokens, and the new token where there is one.
func turn(was db.Login, kept string, now time.Time) (next db.Login, fresh string) {
	next = was
	if now.Sub(fromTime(was.Seen)) >= seenEvery {
		next.Seen = now.UnixMilli()
	}
	since := now.Sub(fromTime(was.Rotated))
	switch {
	case kept == was.Token && since >= rotateEvery:
		fresh = newToken()
		next.Token, next.Previous, next.Rotated = digest(fresh), was.Token, now.UnixMilli()
	case kept == was.Token && was.Previous != "" && since >= rotationTime:
		next.Previous = ""
	case kept == was.Previous && since >= rotationTime: // the new token never arrived
		fresh = newToken()
		next.Token, next.Rotated = digest(fresh), now.UnixMilli()
	}
	return next, fresh
}

// LoginByID finds who is signed in without counting as a call.
func (s *Store) LoginByID(ctx context.Context, id string) (Login, error) {
	row, err := s.read.LoginByID(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return Login{}, ErrSignedOut
	}
	if err != nil {
		return Login{}, fmt.Errorf("reading who is signed in: %w", err)
	}
	return s.login(ctx, row.Login, row.Account)
}

func (s *Store) login(ctx context.Context, row db.Login, account db.Account) (Login, error) {
	l := Login{ID: row.ID, Idle: fromTime(row.Seen).Add(LoginIdle), Ends: fromTime(row.Created).Add(LoginLimit)}
	now := s.now()
	if now.After(l.Idle) || now.After(l.Ends) || account.Disabled != 0 {
		return Login{}, ErrSignedOut
	}
	var err error
	l.Account, err = s.account(ctx, account)
	return l, err
}

// SignOut forgets a login.
func (s *Store) SignOut(ctx context.Context, id string) error {
	err := s.change(ctx, func(ctx context.Context, tx *tx) error { return tx.DeleteLogin(ctx, id) })
	if err != nil {
		return fmt.Errorf("signing out: %w", err)
	}
	return nil
}

// Undo takes back the last decision on a ticket: only its author may, for a short while, and only where nothing happened since.
func (s *Store) Undo(ctx context.Context, ticket, author string) (View, error) {
	var view View
	var refused error
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		var err error
		if view, err = tx.ticket(ctx, ticket); err != nil {
			return err
		}
		last, err := tx.LastEventOf(ctx, ticket)
		if err != nil {
			return err
		}
		now := s.now()
		if refused = mayUndo(last, author, now); refused != nil {
			return nil
		}
		var next queue.Ticket
		if next, refused = view.Ticket.Undo(queue.State(last.Was), now); refused != nil {
			return nil
		}
		view.Ticket = next
		if err := tx.setTicket(ctx, next); err != nil {
			return err
		}
		return tx.happened(ctx, Event{At: now, Kind: KindUndone, Ticket: ticket, Attempt: next.Attempt, Author: author, Detail: last.Kind})
	})
	if err = errors.Join(err, refused); err != nil {
		return View{}, fmt.Errorf("taking back: %w", err)
	}
	return view, nil
}

func mayUndo(last db.Event, author string, now time.Time) error {
	switch act := queue.Act(last.Kind); {
	case last.Author != author || (act != queue.ActPark && act != queue.ActNoShow && act != queue.ActCancel):
		return fmt.Errorf("something else happened to the ticket since: %w", queue.ErrTooLate)
	case now.Sub(fromTime(last.At)) > queue.UndoIn:
		return fmt.Errorf("more than %s passed: %w", queue.UndoIn, queue.ErrTooLate)
	}
	return nil
}

// Ordered keeps that a station carried out what staff ordered for a ticket, once for each request of an author.
func (s *Store) Ordered(ctx context.Context, e Event) error {
	e.Kind = KindOrdered
	err := s.change(ctx, func(ctx context.Context, tx *tx) error {
		known, err := tx.OrderKnown(ctx, db.OrderKnownParams{Ticket: e.Ticket, Author: e.Author, Request: e.Request})
		if err != nil || known {
			return err
		}
		e.At = s.now()
		return tx.happened(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("keeping an order: %w", err)
	}
	return nil
}
