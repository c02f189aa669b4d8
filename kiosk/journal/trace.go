package journal

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"loket/kiosk/record"
)

// Chain is what this station knows of one ticket: its sessions here in order, each with the record that it made.
type Chain struct {
	Ticket   string `json:"ticket"`
	Sessions []Link `json:"sessions"`
}

// Link is one session of a chain.
type Link struct {
	Session  string          `json:"session"`
	Attempt  int             `json:"attempt"`
	Began    *time.Time      `json:"began,omitempty"` // absent where only a docket tells of the session
	Ended    *time.Time      `json:"ended,omitempty"`
	End      string          `json:"end,omitempty"`
	Target   string          `json:"target,omitempty"` // of a hand-over
	FollowUp bool            `json:"follow_up,omitempty"`
	Reported *time.Time      `json:"reported,omitempty"` // to the queue
	Docket   *record.Docket  `json:"docket,omitempty"`
	Receipt  *record.Receipt `json:"receipt,omitempty"`
	Deleted  []Certificate   `json:"deleted,omitempty"` // what entitled the station to delete the sealed record
}

// minPrefix is how much of a record's id is enough to find it.
const minPrefix = 8

// Trace gives the chain that an id belongs to: a ticket's, a session's, or a record's, of which the first eight digits are
// enough. [ErrUnknown] where there is none.
func (j *Journal) Trace(id string) (Chain, error) {
	ticket, err := j.ticketOf(id)
	if err != nil {
		return Chain{}, fmt.Errorf("tracing %.80q: %w", id, err)
	}
	chain := Chain{Ticket: ticket}
	sessions, err := query(j.read, "tracing "+ticket,
		`SELECT id, attempt, began, ended, end_kind, target, follow_up, reported FROM sessions WHERE ticket = ?1
		 UNION ALL
		 SELECT session, attempt, NULL, NULL, '', '', 0, NULL FROM dockets WHERE ticket = ?1 AND session NOT IN (SELECT id FROM sessions)
		 ORDER BY 2, 1`, scanLink, ticket)
	if err != nil {
		return Chain{}, err
	}
	for _, link := range sessions {
		if err := j.addDocuments(&link); err != nil {
			return Chain{}, err
		}
		chain.Sessions = append(chain.Sessions, link)
	}
	return chain, nil
}

func (j *Journal) ticketOf(id string) (string, error) {
	var ticket string
	low, high := id, id
	if len(id) >= minPrefix {
		high = id + "g" // the first string after all that continue id with a hexadecimal digit
	}
	err := j.read.QueryRow(`SELECT ticket FROM sessions WHERE ticket = ?1 OR id = ?1
		UNION SELECT ticket FROM dockets WHERE ticket = ?1 OR session = ?1 OR (record >= ?2 AND record <= ?3) LIMIT 1`, id, low, high).Scan(&ticket)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("%w (hint: another station may know it, or the queue)", ErrUnknown)
	}
	return ticket, err
}

func scanLink(scan func(...any) error) (Link, error) {
	var l Link
	var began, ended, reported sql.NullInt64
	if err := scan(&l.Session, &l.Attempt, &began, &ended, &l.End, &l.Target, &l.FollowUp, &reported); err != nil {
		return Link{}, err
	}
	l.Began, l.Ended, l.Reported = instant(began), instant(ended), instant(reported)
	return l, nil
}

func instant(ms sql.NullInt64) *time.Time {
	if !ms.Valid {
		return nil
	}
	t := fromMillis(ms.Int64)
	return &t
}

// addDocuments adds the session's docket and what came of its record.
func (j *Journal) addDocuments(l *Link) error {
	var docket record.SignedDocket
	err := j.read.QueryRow(`SELECT json, sig FROM dockets WHERE session = ?`, l.Session).Scan(&docket.JSON, &docket.Sig)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tracing session %s: %w", l.Session, err)
	}
	d, err := docket.Docket()
	if err != nil {
		return fmt.Errorf("tracing session %s: %w", l.Session, err)
	}
	l.Docket = &d
	if l.Receipt, err = j.receipt(d.Record); err != nil {
		return fmt.Errorf("tracing session %s: %w", l.Session, err)
	}
	l.Deleted, err = query(j.read, "tracing certificates", `SELECT record, kind, at FROM certificates WHERE record = ? ORDER BY at, kind`,
		func(scan func(...any) error) (c Certificate, err error) {
			var at int64
			err = scan(&c.Record, &c.Kind, &at)
			c.At = fromMillis(at)
			return c, err
		}, d.Record)
	return err
}

func (j *Journal) receipt(id record.ID) (*record.Receipt, error) {
	var signed record.SignedReceipt
	err := j.read.QueryRow(`SELECT json, sig FROM receipts WHERE record = ?`, id).Scan(&signed.JSON, &signed.Sig)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := signed.Receipt()
	return &r, err
}
