package outbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"loket/kiosk/record"
	"loket/kiosk/record/recordtest"
)

// bench is an outbox with the keys of both sides.
type bench struct {
	*Outbox
	station *ecdsa.PrivateKey
	service *ecdsa.PrivateKey
}

func open(t testing.TB, dir string) *bench {
	t.Helper()
	b := &bench{station: recordtest.Key(t), service: recordtest.Key(t)}
	b.reopen(t, dir)
	return b
}

// reopen opens the folder as the next process does.
func (b *bench) reopen(t testing.TB, dir string) {
	t.Helper()
	b.Outbox = &Outbox{Dir: dir, ReceiptKeys: []*ecdsa.PublicKey{&b.service.PublicKey}, Log: slog.New(slog.DiscardHandler)}
	if err := b.Open(); err != nil {
		t.Fatal(err)
	}
}

// put keeps bytes that stand for sealed record n.
func (b *bench) put(n int, sealed string) (record.ID, error) {
	return b.Put(
		func(w io.Writer) error { _, err := io.WriteString(w, sealed); return err },
		func(id record.ID, size int64) (record.SignedDocket, error) {
			return recordtest.Manifest(n).Docket(id, size, recordtest.Created().Add(time.Duration(n)*time.Second)).Sign(b.station)
		})
}

func (b *bench) mustPut(t testing.TB, n int) record.ID {
	t.Helper()
	id, err := b.put(n, "sealed "+recordtest.Manifest(n).Session)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func names(t testing.TB, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range files {
		list = append(list, f.Name())
	}
	return strings.Join(list, " ")
}

// pushFunc is a Pusher.
type pushFunc func(ctx context.Context, d record.Docket, sealed io.Reader) (record.SignedReceipt, error)

func (f pushFunc) Push(ctx context.Context, d record.SignedDocket, sealed io.ReadSeeker) (record.SignedReceipt, error) {
	docket, err := d.Docket()
	if err != nil {
		return record.SignedReceipt{}, err
	}
	return f(ctx, docket, sealed)
}

// receipts answers every push with a receipt.
func (b *bench) receipts(_ context.Context, d record.Docket, sealed io.Reader) (record.SignedReceipt, error) {
	if _, err := io.Copy(io.Discard, sealed); err != nil {
		return record.SignedReceipt{}, err
	}
	return d.Receipt(b.service, recordtest.Created())
}

func TestPutLeavesDocketAndRecordUnderTheHashOfTheRecord(t *testing.T) {
	b := open(t, t.TempDir())
	id := b.mustPut(t, 1)
	want := string(id) + ".age " + string(id) + ".docket.json " + string(id) + ".docket.json.sig"
	if got := names(t, b.Dir); got != want {
		t.Errorf("the outbox holds %s", got)
	}
	for _, name := range strings.Fields(want) {
		if info, err := os.Stat(filepath.Join(b.Dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	if list := b.List(); len(list) != 1 || list[0].State != Pending || list[0].Docket.Record != id {
		t.Errorf("shown as %+v", list)
	}
}

func TestASessionGetsOneRecordOnly(t *testing.T) {
	b := open(t, t.TempDir())
	b.mustPut(t, 1)
	before := names(t, b.Dir)
	if _, err := b.put(1, "another sealing"); err == nil {
		t.Error("a second record was kept")
	}
	b.reopen(t, b.Dir)
	if _, err := b.put(1, "another sealing"); err == nil {
		t.Error("a second record was kept after a restart")
	}
	if got := names(t, b.Dir); got != before {
		t.Errorf("left over: %s", got)
	}
}

func TestAPutThatFailsLeavesNothing(t *testing.T) {
	b := open(t, t.TempDir())
	boom := errors.New("boom")
	good := func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err }
	for name, put := range map[string]func() (record.ID, error){
		"sealing fails": func() (record.ID, error) {
			return b.Put(func(w io.Writer) error { _, _ = io.WriteString(w, "x"); return boom }, nil)
		},
		"the docket fails": func() (record.ID, error) {
			return b.Put(good, func(record.ID, int64) (record.SignedDocket, error) { return record.SignedDocket{}, boom })
		},
	} {
		if _, err := put(); !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := b.Put(good, func(id record.ID, _ int64) (record.SignedDocket, error) {
		return recordtest.Manifest(1).Docket(id, 99, recordtest.Created()).Sign(b.station)
	})
	if err == nil {
		t.Error("a docket of another size was kept")
	}
	if got := names(t, b.Dir); got != "" {
		t.Errorf("left over: %s", got)
	}
}

// tight is a disk on which the n-th step of writing finds no room.
type tight struct {
	left int
	mu   sync.Mutex
}

func (d *tight) step() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left < 0 {
		return syscall.ENOSPC
	}
	return nil
}

func (d *tight) create(path string) (file, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := os.Create(path)
	return &tightFile{f, d}, err
}

type tightFile struct {
	*os.File
	disk *tight
}

func (f *tightFile) Write(b []byte) (int, error) {
	if err := f.disk.step(); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f *tightFile) Sync() error {
	if err := f.disk.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *tightFile) Close() error {
	err := f.disk.step()
	return errors.Join(err, f.File.Close())
}

func TestADiskThatIsFullAtAnyStepGivesAClearErrorAndLeavesNothing(t *testing.T) {
	b := open(t, t.TempDir())
	b.mustPut(t, 1)
	before := names(t, b.Dir)
	for room := 0; ; room++ {
		disk := &tight{left: room}
		b.create = disk.create
		_, err := b.put(2, "sealed 2")
		if err == nil {
			if room < 8 {
				t.Errorf("only %d steps were tried", room)
			}
			break
		}
		if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("with room for %d steps: %v", room, err)
		}
		if got := names(t, b.Dir); got != before {
			t.Fatalf("with room for %d steps, left over: %s", room, got)
		}
	}
	if len(b.List()) != 2 {
		t.Error("the record that fitted at last is not there")
	}
}

func TestASessionWhoseFailedRecordCanNotBeRemovedGetsNoOther(t *testing.T) {
	b := open(t, t.TempDir())
	sum := sha256.Sum256([]byte("sealed"))
	inTheWay := filepath.Join(b.Dir, hex.EncodeToString(sum[:])+".age", "x")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := b.put(1, "sealed"); err == nil {
		t.Fatal("a record was put where something is in the way")
	}
	if _, err := b.put(1, "sealed otherwise"); err == nil || !strings.Contains(err.Error(), "already has record") {
		t.Errorf("the session's second record gives %v", err)
	}
}

func TestAFullDiskIsSeenBeforeACaptureStarts(t *testing.T) {
	b := open(t, t.TempDir())
	if err := b.Ready(1); err != nil {
		t.Error(err)
	}
	b.free = func(string) (int64, error) { return 5 << 20, nil }
	if err := b.Ready(6 << 20); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("error %v", err)
	}
}

func TestADiskThatIsFullWhenTheReceiptComesKeepsTheRecordAndAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir())
		id := b.mustPut(t, 1)
		b.create = (&tight{}).create
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, b, b.receipts)
		synctest.Wait()
		if e := b.List(); e[0].State != Pending || !strings.Contains(e[0].Reason, "disk full") {
			t.Errorf("shown as %+v", e)
		}
		if !strings.Contains(names(t, b.Dir), string(id)+".age") {
			t.Error("the record is gone")
		}
		cancel()
		<-done
		b.create = nil
		ctx, cancel = context.WithCancel(t.Context())
		done = run(ctx, b, b.receipts)
		b.Kick()
		synctest.Wait()
		if e := b.List(); len(e) != 0 {
			t.Errorf("with room again: %+v", e)
		}
		cancel()
		<-done
	})
}

func run(ctx context.Context, b *bench, push pushFunc) <-chan error {
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, push) }()
	return done
}

func TestAStartSweepsWhatWasNotCommittedAndKeepsWhatWas(t *testing.T) {
	b := open(t, t.TempDir())
	kept, lost := b.mustPut(t, 1), b.mustPut(t, 2)
	if err := os.Rename(b.path(lost, sealedSuffix), filepath.Join(b.Dir, "XYZ.partial")); err != nil { // as a kill before the rename leaves it
		t.Fatal(err)
	}
	b.reopen(t, b.Dir)
	want := string(kept) + ".age " + string(kept) + ".docket.json " + string(kept) + ".docket.json.sig"
	if got := names(t, b.Dir); got != want {
		t.Errorf("the outbox holds %s", got)
	}
	committed, err := b.Committed()
	if err != nil || len(committed) != 1 {
		t.Errorf("%d committed, %v", len(committed), err)
	}
	if _, err := b.put(2, "again"); err != nil {
		t.Errorf("the session that was swept can't seal again: %v", err)
	}
}

func TestASealedRecordWithoutItsDocketIsKeptAndShown(t *testing.T) {
	b := open(t, t.TempDir())
	id := b.mustPut(t, 1)
	if err := os.Remove(b.path(id, docketSigSuffix)); err != nil {
		t.Fatal(err)
	}
	b.reopen(t, b.Dir)
	if e := b.List(); len(e) != 1 || e[0].State != Refused || e[0].Code != codeNoDocket || e[0].Docket.Record != id {
		t.Errorf("shown as %+v", e)
	}
	if !strings.Contains(names(t, b.Dir), ".age") {
		t.Error("the record is gone")
	}
}

func TestAReceiptPurgesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir())
		id := b.mustPut(t, 1)
		var seen string
		b.OnReceipt = func(d record.SignedDocket, r record.SignedReceipt) error {
			seen = names(t, b.Dir)
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, b, b.receipts)
		synctest.Wait()
		cancel()
		<-done
		s := string(id)
		if want := s + ".age " + s + ".docket.json " + s + ".docket.json.sig " + s + ".receipt.json " + s + ".receipt.json.sig"; seen != want {
			t.Errorf("when the journal is told, there is %s", seen)
		}
		if got, want := names(t, b.Dir), s+".docket.json "+s+".docket.json.sig "+s+".receipt.json "+s+".receipt.json.sig"; got != want {
			t.Errorf("afterwards there is %s", got)
		}
	})
}

func TestAPurgeThatACrashCutShortIsEndedAtTheNextStart(t *testing.T) {
	b := open(t, t.TempDir())
	id := b.mustPut(t, 1)
	receipt, err := b.List()[0].Docket.Receipt(b.service, recordtest.Created())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.store(b.path(id, receiptSigSuffix), receipt.Sig), b.store(b.path(id, receiptSuffix), receipt.JSON)); err != nil {
		t.Fatal(err)
	}
	told := 0
	b.Outbox = &Outbox{Dir: b.Dir, ReceiptKeys: b.ReceiptKeys, Log: b.Log, OnReceipt: func(record.SignedDocket, record.SignedReceipt) error { told++; return nil }}
	if err := b.Open(); err != nil {
		t.Fatal(err)
	}
	if told != 1 || len(b.List()) != 0 || strings.Contains(names(t, b.Dir), ".age") {
		t.Errorf("told %d times, shown %+v, there is %s", told, b.List(), names(t, b.Dir))
	}
}

func TestAJournalThatCanNotWriteKeepsTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir())
		id := b.mustPut(t, 1)
		var works atomic.Bool
		b.OnReceipt = func(record.SignedDocket, record.SignedReceipt) error {
			if !works.Load() {
				return errors.New("the journal is broken")
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, b, b.receipts)
		synctest.Wait()
		if !strings.Contains(names(t, b.Dir), string(id)+".age") || !strings.Contains(b.List()[0].Reason, "journal") {
			t.Errorf("there is %s", names(t, b.Dir))
		}
		works.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(b.List()) != 0 {
			t.Error("the record is not delivered once the journal works")
		}
		cancel()
		<-done
	})
}

func TestForgedAndForeignReceiptsDeleteNothing(t *testing.T) {
	forger := recordtest.Key(t)
	for name, answer := range map[string]func(b *bench, d record.Docket) (record.SignedReceipt, error){
		"forged": func(_ *bench, d record.Docket) (record.SignedReceipt, error) {
			return d.Receipt(forger, recordtest.Created())
		},
		"foreign": func(b *bench, d record.Docket) (record.SignedReceipt, error) {
			d.Record = record.ID(strings.Repeat("ab", 32))
			return d.Receipt(b.service, recordtest.Created())
		},
		"for another session": func(b *bench, d record.Docket) (record.SignedReceipt, error) {
			d.Session = "se_other"
			return d.Receipt(b.service, recordtest.Created())
		},
		"empty": func(*bench, record.Docket) (record.SignedReceipt, error) { return record.SignedReceipt{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, t.TempDir())
				before := b.mustPut(t, 1)
				ctx, cancel := context.WithCancel(t.Context())
				done := run(ctx, b, func(_ context.Context, d record.Docket, _ io.Reader) (record.SignedReceipt, error) {
					return answer(b, d)
				})
				time.Sleep(time.Minute)
				cancel()
				<-done
				if e := b.List(); len(e) != 1 || e[0].State != Pending || !strings.Contains(e[0].Reason, "receipt") {
					t.Errorf("shown as %+v", e)
				}
				if got := names(t, b.Dir); !strings.Contains(got, string(before)+".age") || strings.Contains(got, "receipt") {
					t.Errorf("there is %s", got)
				}
			})
		})
	}
}

func TestARefusalIsKeptShownAndNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir())
		id := b.mustPut(t, 1)
		tries := 0
		refuse := func(context.Context, record.Docket, io.Reader) (record.SignedReceipt, error) {
			tries++
			return record.SignedReceipt{}, &RefusedError{Code: "unknown-policy", Reason: "the policy is not accepted", Hint: "update"}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, b, refuse)
		time.Sleep(time.Hour)
		b.Kick()
		time.Sleep(time.Hour)
		cancel()
		<-done
		b.reopen(t, b.Dir)
		e := b.List()
		if tries != 1 || len(e) != 1 || e[0].State != Refused || e[0].Code != "unknown-policy" || !strings.Contains(e[0].Reason, "hint: update") {
			t.Errorf("%d tries, shown as %+v", tries, e)
		}
		if err := b.Retry(id); err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		done = run(ctx, b, b.receipts)
		synctest.Wait()
		cancel()
		<-done
		if len(b.List()) != 0 {
			t.Error("staff said to send it again, and it was not")
		}
	})
}

func TestBytesThatAreIntactHereAreSentAgainWhenTheyArriveSpoilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir())
		b.mustPut(t, 1)
		tries := 0
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, b, func(ctx context.Context, d record.Docket, sealed io.Reader) (record.SignedReceipt, error) {
			if tries++; tries == 1 {
				return record.SignedReceipt{}, &RefusedError{Code: CodeBadHash, Reason: "spoilt"}
			}
			return b.receipts(ctx, d, sealed)
		})
		time.Sleep(time.Minute)
		cancel()
		<-done
		if tries != 2 || len(b.List()) != 0 {
			t.Errorf("%d tries, shown as %+v", tries, b.List())
		}
	})
}

func TestAServiceThatIsAwayIsTriedLessAndLessOftenUpToHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir())
		b.mustPut(t, 1)
		var at []time.Time
		away := func(context.Context, record.Docket, io.Reader) (record.SignedReceipt, error) {
			at = append(at, time.Now())
			return record.SignedReceipt{}, errors.New("no route")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, b, away)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if len(at) < 12 || at[1].Sub(at[0]) != firstWait || at[len(at)-1].Sub(at[len(at)-2]) != lastWait {
			t.Errorf("tried %d times, last wait %v", len(at), at[len(at)-1].Sub(at[len(at)-2]))
		}
		before := len(at)
		b.Kick()
		synctest.Wait()
		if len(at) != before+1 {
			t.Error("a kick does not try at once")
		}
		cancel()
		<-done
	})
}

func TestOneRecordThatFailsDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir())
		bad := b.mustPut(t, 1)
		for n := 2; n < 6; n++ {
			b.mustPut(t, n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, b, func(ctx context.Context, d record.Docket, sealed io.Reader) (record.SignedReceipt, error) {
			if d.Record == bad {
				return record.SignedReceipt{}, errors.New("500")
			}
			return b.receipts(ctx, d, sealed)
		})
		synctest.Wait()
		cancel()
		<-done
		if e := b.List(); len(e) != 1 || e[0].Docket.Record != bad {
			t.Errorf("left: %+v", e)
		}
	})
}

func TestProgressIsShownWhileARecordIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, t.TempDir())
		b.mustPut(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, b, func(ctx context.Context, d record.Docket, sealed io.Reader) (record.SignedReceipt, error) {
			if _, err := io.ReadFull(sealed, make([]byte, 5)); err != nil {
				return record.SignedReceipt{}, err
			}
			<-ctx.Done()
			return record.SignedReceipt{}, ctx.Err()
		})
		synctest.Wait()
		if e := b.List(); e[0].State != Sending || e[0].Sent != 5 {
			t.Errorf("shown as %+v", e)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if e := b.List(); e[0].State != Pending {
			t.Errorf("afterwards %+v", e)
		}
	})
}

func TestOldReceiptsAreForgotten(t *testing.T) {
	b := open(t, t.TempDir())
	id := b.mustPut(t, 1)
	e := b.entries[id]
	receipt, err := e.Docket.Receipt(b.service, recordtest.Created())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.accept(e, receipt); err != nil {
		t.Fatal(err)
	}
	b.Now = func() time.Time { return time.Now().Add(29 * 24 * time.Hour) }
	b.forget()
	if !strings.Contains(names(t, b.Dir), "receipt") {
		t.Error("forgotten too early")
	}
	b.Now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) }
	b.forget()
	if got := names(t, b.Dir); got != "" {
		t.Errorf("there is %s", got)
	}
}

func TestASealedRecordThatIsTooLargeIsNotKept(t *testing.T) {
	b := open(t, t.TempDir())
	chunk := bytes.Repeat([]byte{1}, 1<<20)
	_, err := b.Put(func(w io.Writer) error {
		for {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
	}, nil)
	if err == nil || names(t, b.Dir) != "" {
		t.Errorf("error %v, there is %s", err, names(t, b.Dir))
	}
}
