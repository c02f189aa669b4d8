package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"loket/kiosk/journal"
	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

func open(t testing.TB, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// chain makes the documents of session n.
func chain(t testing.TB, n int) (record.Docket, record.SignedDocket, record.SignedReceipt) {
	t.Helper()
	key := recordtest.Key(t)
	d := recordtest.Manifest(n).Docket(record.ID(strings.Repeat(fmt.Sprintf("%02x", n+160), 32)), 4711, recordtest.Created())
	signed, err := d.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := d.Receipt(key, recordtest.Created().Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return d, signed, receipt
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhetherSomebodyLeftIsToldToTheQueue(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	at := recordtest.Created()
	for i, final := range []bool{false, true} {
		id := []string{"se_stays", "se_leaves"}[i]
		must(t, j.BeginSession(id, "tk_one", i+1, at), j.EndSession(id, journal.End{Kind: "cancelled", Final: final}, at.Add(time.Duration(i)*time.Second)))
	}
	list, err := j.Unreported()
	if err != nil || len(list) != 2 || list[0].Final || !list[1].Final {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestTheWholeChainIsFoundFromAnyIdInIt(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	d, signed, receipt := chain(t, 1)
	at := recordtest.Created()
	must(t,
		j.BeginSession("se_first", d.Ticket, 1, at.Add(-time.Hour)), j.EndSession("se_first", journal.End{Kind: "abandoned"}, at.Add(-50*time.Minute)),
		j.BeginSession(d.Session, d.Ticket, 2, at.Add(-time.Minute)), j.AddDocket(signed),
		j.EndSession(d.Session, journal.End{Kind: "completed", Record: string(d.Record), FollowUp: true}, at),
		j.AddReceipt(signed, receipt), j.MarkReported(d.Session, at.Add(time.Second)),
		j.BeginSession("se_other", "tk_other", 1, at),
	)
	for _, id := range []string{d.Ticket, d.Session, "se_first", string(d.Record), string(d.Record[:8])} {
		c, err := j.Trace(id)
		if err != nil {
			t.Fatal(err)
		}
		if c.Ticket != d.Ticket || len(c.Sessions) != 2 || c.Sessions[0].End != "abandoned" || c.Sessions[0].Docket != nil {
			t.Fatalf("from %s: %+v", id, c)
		}
		l := c.Sessions[1]
		if l.Docket.Record != d.Record || l.Receipt.Record != d.Record || l.End != "completed" || !l.FollowUp ||
			!l.Ended.Equal(at) || l.Reported == nil || len(l.Deleted) != 1 || l.Deleted[0].Kind != journal.ByReceipt {
			t.Errorf("from %s: %+v", id, l)
		}
	}
	for _, id := range []string{"", "tk_none", string(d.Record[:7]), "%", strings.Repeat("0", 64)} {
		if _, err := j.Trace(id); !errors.Is(err, journal.ErrUnknown) || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("from %q: %v", id, err)
		}
	}
}

func TestNotingSomethingTwiceChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	d, signed, receipt := chain(t, 1)
	at := recordtest.Created()
	for range 2 {
		must(t, j.BeginSession(d.Session, d.Ticket, 1, at), j.AddDocket(signed), j.AddReceipt(signed, receipt),
			j.EndSession(d.Session, journal.End{Kind: "completed", Record: string(d.Record)}, at))
		must(t, j.Close())
		j = open(t, path)
	}
	if err := j.EndSession(d.Session, journal.End{Kind: "cancelled"}, at); err == nil || !strings.Contains(err.Error(), "completed") {
		t.Errorf("another end: %v", err)
	}
	if err := j.EndSession("se_none", journal.End{Kind: "completed"}, at); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("an end without a beginning: %v", err)
	}
	c, err := j.Trace(d.Ticket)
	if err != nil || len(c.Sessions) != 1 || c.Sessions[0].End != "completed" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestWhatTheQueueWasNotToldIsListedUntilItWas(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	at := recordtest.Created()
	for i := range 3 {
		id := fmt.Sprintf("se_%d", i)
		must(t, j.BeginSession(id, "tk_1", i+1, at))
		if i < 2 {
			must(t, j.EndSession(id, journal.End{Kind: "cancelled"}, at.Add(-time.Duration(i)*time.Minute)))
		}
	}
	list, err := j.Unreported()
	if err != nil || len(list) != 2 || list[0].Session != "se_1" || list[1].Attempt != 1 || list[1].Kind != "cancelled" || !list[1].At.Equal(at) {
		t.Fatalf("%+v, %v", list, err)
	}
	must(t, j.MarkReported("se_1", at))
	if list, err = j.Unreported(); err != nil || len(list) != 1 || list[0].Session != "se_0" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSessionsThatTheStationDidNotSurviveAreFoundWithTheirRecords(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	d, signed, _ := chain(t, 1)
	at := recordtest.Created()
	must(t, j.BeginSession("se_lost", "tk_2", 1, at), j.BeginSession(d.Session, d.Ticket, 1, at.Add(time.Second)), j.AddDocket(signed))
	list, err := j.Unfinished()
	if err != nil || len(list) != 2 || list[0].Session != "se_lost" || list[0].Record != "" || list[1].Record != d.Record {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestAReceiptOfAnotherRecordIsNotNoted(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	_, one, _ := chain(t, 1)
	d, _, other := chain(t, 2)
	if err := j.AddReceipt(one, other); err == nil {
		t.Error("noted")
	}
	if _, err := j.Trace(string(d.Record)); err == nil {
		t.Error("something is left of it")
	}
}

func TestNobodyWaitsInVainWhenManyWriteAndRead(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 10 {
				id := fmt.Sprintf("se_%d_%d", i, n)
				if err := j.BeginSession(id, "tk_1", 1, recordtest.Created()); err != nil {
					t.Error(err)
				}
				if _, err := j.Trace(id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestTheJournalHoldsNoPersonalData(t *testing.T) {
	dir := t.TempDir()
	j := open(t, filepath.Join(dir, "journal.db"))
	d, signed, receipt := chain(t, 1)
	must(t, j.BeginSession(d.Session, d.Ticket, 1, recordtest.Created()), j.AddDocket(signed), j.AddReceipt(signed, receipt), j.Close())
	files, err := os.ReadDir(dir)
	must(t, err)
	s := recordtest.Manifest(1).Subject
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		must(t, err)
		for _, secret := range []string{s.Reference, s.BirthDate} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds %s", f.Name(), secret)
			}
		}
	}
}

func TestAnyPathWillDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "with space & more?.db")
	open(t, path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestAFileThatIsNoJournalIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("not a database "), 1000), 0o600))
	if j, err := journal.Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("opened %v, %v", j, err)
	}
}

func TestASessionThatComesBackGoesOnOnceTheQueueKnowsHowItLeft(t *testing.T) {
	j, at := open(t, filepath.Join(t.TempDir(), "journal.db")), recordtest.Created()
	must(t, j.BeginSession("se_1", "tk_1", 1, at), j.Moving("se_1", "desk-01"))
	if list, err := j.Unfinished(); err != nil || len(list) != 1 || list[0].Target != "desk-01" {
		t.Fatalf("a session that is being moved: %+v, %v", list, err)
	}
	must(t, j.EndSession("se_1", journal.End{Kind: "handed-over"}, at))
	if list, err := j.Unreported(); err != nil || len(list) != 1 || list[0].Target != "desk-01" {
		t.Fatalf("to report: %+v, %v", list, err)
	}
	if err := j.TakeOver("se_1", "tk_1", 1, at); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("taken over before the queue knew: %v", err)
	}
	must(t, j.MarkReported("se_1", at), j.TakeOver("se_1", "tk_1", 1, at))
	if list, err := j.Unfinished(); err != nil || len(list) != 1 || list[0].Target != "" {
		t.Errorf("in progress: %+v, %v", list, err)
	}
	must(t, j.NotTaken("se_1", at))
	if list, err := j.Unreported(); err != nil || len(list) != 0 {
		t.Errorf("what never came is reported: %+v, %v", list, err)
	}
	must(t, j.TakeOver("se_1", "tk_1", 1, at), j.EndSession("se_1", journal.End{Kind: "completed", Record: "r"}, at), j.MarkReported("se_1", at))
	if err := j.TakeOver("se_1", "tk_1", 1, at); err == nil {
		t.Error("a completed session goes on")
	}
}
