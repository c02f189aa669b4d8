package stage

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"loket/kiosk/identity"
	"loket/kiosk/record"
	"loket/queue"
	"loket/queue/station"
)

// Audit is what a centre's outside shows: what became of each ticket, and of each record in custody.
type Audit struct {
	Done    int      // tickets with exactly one intact record
	Waiting int      // tickets back in the queue, without a record
	Records int      // intact records in custody
	Broken  []string // every rule that does not hold, in words
}

func (a *Audit) broken(format string, args ...any) {
	a.Broken = append(a.Broken, fmt.Sprintf(format, args...))
}

// Audit compares from outside: the queue's answer for each ticket, and the central service's folder, opened with the service's
// own key. The kiosk's outbox must be empty and the central service hold nothing but records. queued must run.
func (c *Centre) Audit(ctx context.Context, tickets []string) (*Audit, error) {
	a := &Audit{}
	byTicket, err := c.openRecords(a)
	if err != nil {
		return nil, err
	}
	asker, err := c.PKI.Identity(DeskName)
	if err != nil {
		return nil, err
	}
	client := station.Client{BaseURL: c.url(c.Ports.Queue), HTTP: &http.Client{Timeout: 10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: asker.Client(identity.RoleQueue)}}}
	for _, id := range tickets {
		chain, err := client.Chain(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("auditing ticket %s: %w", id, err)
		}
		a.ticket(chain, byTicket[id])
		delete(byTicket, id)
	}
	for ticket := range byTicket {
		a.broken("a record is for ticket %s, which nobody issued", ticket)
	}
	a.leftOver(c.path("kiosk", "outbox"), ".age", ".partial")
	a.leftOver(c.path("desk", "outbox"), ".age", ".partial")
	a.leftOver(c.path("central", "uploads"), "")
	a.leftOver(c.path("central", "conflicts"), "")
	return a, nil
}

// ticket checks that a ticket is done with its one record, or waits without any.
func (a *Audit) ticket(chain station.Chain, records []record.Docket) {
	t := chain.Ticket
	for _, x := range chain.Conflicts {
		a.broken("ticket %s has a conflict: %s", t.ID, x.Reason)
	}
	switch {
	case t.State == queue.Done && len(records) == 1 && t.Record == string(records[0].Record):
		a.Done++
	case t.State == queue.Waiting && len(records) == 0:
		a.Waiting++
	default:
		a.broken("ticket %s is %s at attempt %d with record %.12q, and %d records are in custody for it", t.ID, t.State, t.Attempt, t.Record, len(records))
	}
}

// leftOver reports files with one of the endings.
func (a *Audit) leftOver(dir string, endings ...string) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		a.broken("%v", err)
	}
	for _, f := range files {
		for _, e := range endings {
			if strings.HasSuffix(f.Name(), e) {
				a.broken("left over: %s", filepath.Join(dir, f.Name()))
			}
		}
	}
}

// openRecords opens every record in custody and gives their dockets by ticket.
func (c *Centre) openRecords(a *Audit) (map[string][]record.Docket, error) {
	keyFile, err := os.Open(c.PKI.Path("service.age"))
	if err != nil {
		return nil, err
	}
	defer keyFile.Close()
	ids, err := age.ParseIdentities(keyFile)
	if err != nil {
		return nil, err
	}
	stations := map[string]*ecdsa.PublicKey{}
	for _, name := range []string{StationName, DeskName} {
		cert, err := identity.LoadCertificate(c.PKI.Path(name + ".crt"))
		if err != nil {
			return nil, err
		}
		stations[name] = cert.PublicKey.(*ecdsa.PublicKey)
	}
	receipts, err := identity.LoadPublicKey(c.PKI.Path("receipts.pub"))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(c.path("central", "records", "*.age"))
	if err != nil {
		return nil, err
	}
	byTicket := map[string][]record.Docket{}
	for _, f := range files {
		docket, err := openRecord(f, ids, stations, receipts)
		if err != nil {
			a.broken("%s: %v", filepath.Base(f), err)
			continue
		}
		a.Records++
		byTicket[docket.Ticket] = append(byTicket[docket.Ticket], docket)
	}
	return byTicket, nil
}

// openRecord checks one record with its docket and receipt.
func openRecord(path string, ids []age.Identity, stations map[string]*ecdsa.PublicKey, receipts *ecdsa.PublicKey) (record.Docket, error) {
	base := strings.TrimSuffix(path, ".age")
	docket, err := readSigned(base + ".docket.json")
	if err != nil {
		return record.Docket{}, err
	}
	claimed, err := record.SignedDocket(docket).Docket()
	if err != nil {
		return claimed, err
	}
	station := stations[claimed.Station]
	if station == nil {
		return claimed, fmt.Errorf("no station is called %q", claimed.Station)
	}
	d, err := record.SignedDocket(docket).Verify(station)
	if err != nil {
		return d, err
	}
	receipt, err := readSigned(base + ".receipt.json")
	if err != nil {
		return d, err
	}
	if _, err := record.SignedReceipt(receipt).Verify([]*ecdsa.PublicKey{receipts}, d); err != nil {
		return d, err
	}
	f, err := os.Open(path)
	if err != nil {
		return d, err
	}
	defer f.Close()
	sum := sha256.New()
	r, err := record.Open(io.TeeReader(f, sum), ids, station)
	if err != nil {
		return d, err
	}
	defer r.Wipe()
	if id := hex.EncodeToString(sum.Sum(nil)); id != string(d.Record) || id != filepath.Base(base) {
		return d, fmt.Errorf("the file's digest is %.12s and its docket names %.12s", id, d.Record)
	}
	return d, record.Agree(d, r.Manifest)
}

type signed struct{ JSON, Sig []byte }

func readSigned(path string) (signed, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return signed{}, err
	}
	sig, err := os.ReadFile(path + ".sig")
	return signed{data, sig}, err
}
