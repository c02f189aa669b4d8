package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"loket/kiosk/identity"
	"loket/kiosk/record"
)

// opener is what is needed to open a store.
type opener struct {
	cli      *cli
	ids      []age.Identity
	mask     []byte // makes pseudonyms that only the holder of the service's key can make
	stations []*x509.Certificate
	receipts []*ecdsa.PublicKey
}

// opened is what was found of one record. Who it is of is in the manifest, which is shown to nobody: the pseudonym stands for
// it.
type opened struct {
	ID        record.ID         `json:"record"`
	Pseudonym string            `json:"pseudonym,omitempty"`
	Docket    record.Docket     `json:"docket"`
	Receipt   *record.Receipt   `json:"receipt,omitempty"`
	Manifest  record.Manifest   `json:"-"`
	Parts     []record.PartInfo `json:"parts"`
	Files     []fileFound       `json:"files,omitempty"`   // for other systems
	Trouble   string            `json:"trouble,omitempty"` // why it is quarantined

	record    *record.Record
	unchecked bool // nobody said which key signs receipts
}

// fileFound is one file for other systems among a record's parts.
type fileFound struct {
	Name    string `json:"name"`
	Holds   string `json:"holds,omitempty"`
	Trouble string `json:"trouble,omitempty"` // the rule that it breaks
}

// filesOf describes the files for other systems. One that breaks a rule is said, and is no reason for quarantine: the station sealed
// it so.
func filesOf(r *record.Record) (list []fileFound) {
	for _, p := range r.Parts {
		line, ok, err := record.Describe(p)
		if err != nil {
			list = append(list, fileFound{Name: p.Name, Trouble: err.Error()})
		} else if ok {
			list = append(list, fileFound{Name: p.Name, Holds: line})
		}
	}
	return list
}

func wipe(found []*opened) {
	for _, f := range found {
		if f.record != nil {
			f.record.Wipe()
		}
	}
}

func newOpener(c *cli) (*opener, error) {
	o := &opener{cli: c}
	mask := sha256.New()
	for _, path := range c.Key {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the key: %w", err)
		}
		ids, err := age.ParseIdentities(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("reading the key %s: %w (hint: an age identity file, its lines begin with AGE-SECRET-KEY-PQ-1)", path, err)
		}
		mask.Write(data)
		o.ids = append(o.ids, ids...)
	}
	o.mask = mask.Sum([]byte("loket pseudonym"))
	for _, path := range c.Stations {
		if err := o.addStations(path); err != nil {
			return nil, err
		}
	}
	if len(o.stations) == 0 {
		return nil, errors.New("reading the stations' certificates: there is none (hint: --stations takes PEM files of role kiosk or desk, or folders of them)")
	}
	for _, path := range c.ReceiptKey {
		key, err := identity.LoadPublicKey(path)
		if err != nil {
			return nil, fmt.Errorf("reading a receipt key: %w", err)
		}
		o.receipts = append(o.receipts, key)
	}
	return o, nil
}

// addStations reads a certificate or a folder of them. Certificates of other roles are passed over.
func (o *opener) addStations(path string) error {
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return fmt.Errorf("reading the stations' certificates: %w", err)
	} else if info.IsDir() {
		files = nil
		for _, pattern := range []string{"*.crt", "*.pem"} {
			more, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return fmt.Errorf("reading the stations' certificates: %w", err)
			}
			files = append(files, more...)
		}
	}
	for _, file := range files {
		cert, err := identity.LoadCertificate(file)
		if err != nil {
			return err
		}
		if p, err := identity.PeerOf(cert); err == nil && (p.Role == identity.RoleKiosk || p.Role == identity.RoleDesk) {
			o.stations = append(o.stations, cert)
		}
	}
	return nil
}

// openAll opens every record of the store, in the order of sealing. A record that is not as it must be is quarantined; an
// error means that the work could not be done.
func (o *opener) openAll() ([]*opened, error) {
	files, err := filepath.Glob(filepath.Join(o.cli.Store, "*.age"))
	if err != nil {
		return nil, fmt.Errorf("reading the store: %w", err)
	}
	if err := os.MkdirAll(o.cli.Out, 0o700); err != nil {
		return nil, fmt.Errorf("making the output folder: %w", err)
	}
	var found []*opened
	for _, file := range files {
		f := &opened{ID: record.ID(strings.TrimSuffix(filepath.Base(file), ".age"))}
		found = append(found, f)
		if err := o.open(file, f); err != nil {
			f.Trouble = err.Error()
			err = o.quarantine(f)
			if err != nil {
				return found, err
			}
			continue
		}
		if err := o.write(f); err != nil {
			return found, err
		}
	}
	slices.SortFunc(found, func(a, b *opened) int { return a.Docket.Time.Compare(b.Docket.Time) })
	return found, nil
}

// open checks everything about one record: its name, docket, receipt, seal, signature, parts, and that all of them agree.
func (o *opener) open(file string, f *opened) error {
	data, err := readBounded(file)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != string(f.ID) {
		return errors.New("its name is not the SHA-256 of its bytes")
	}
	station, err := o.checkDocket(f, int64(len(data)))
	if err != nil {
		return err
	}
	if err := o.checkReceipt(f); err != nil {
		return err
	}
	r, err := record.Open(bytes.NewReader(data), o.ids, station)
	if err != nil {
		return err
	}
	if err := record.Agree(f.Docket, r.Manifest); err != nil {
		r.Wipe()
		return err
	}
	f.record, f.Manifest, f.Parts, f.Files = r, r.Manifest, r.Manifest.Parts, filesOf(r)
	mac := hmac.New(sha256.New, o.mask)
	mac.Write([]byte(r.Manifest.Subject.Reference))
	f.Pseudonym = hex.EncodeToString(mac.Sum(nil))[:8]
	return nil
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, record.MaxRecord+1))
	if err == nil && len(data) > record.MaxRecord {
		err = errors.New("it is larger than a record can be")
	}
	return data, err
}

func (o *opener) document(id record.ID, suffix string) (json, sig []byte, err error) {
	if json, err = os.ReadFile(filepath.Join(o.cli.Store, string(id)+suffix)); err != nil {
		return nil, nil, err
	}
	sig, err = os.ReadFile(filepath.Join(o.cli.Store, string(id)+suffix+".sig"))
	return json, sig, err
}

// checkDocket finds the station's certificate whose key signed the docket, and gives that key.
func (o *opener) checkDocket(f *opened, size int64) (*ecdsa.PublicKey, error) {
	var signed record.SignedDocket
	var err error
	if signed.JSON, signed.Sig, err = o.document(f.ID, ".docket.json"); err != nil {
		return nil, fmt.Errorf("reading its docket: %w", err)
	}
	if f.Docket, err = signed.Docket(); err != nil {
		return nil, err
	}
	if f.Docket.Record != f.ID || f.Docket.Size != size {
		return nil, errors.New("its docket is of another record")
	}
	err = fmt.Errorf("its station %q of %q has no certificate here", f.Docket.Station, f.Docket.Centre)
	for _, cert := range o.stations {
		key, ok := cert.PublicKey.(*ecdsa.PublicKey)
		p, peerErr := identity.PeerOf(cert)
		if !ok || peerErr != nil || p.Name != f.Docket.Station || p.Centre != f.Docket.Centre {
			continue
		}
		if _, err = signed.Verify(key); err == nil {
			return key, nil
		}
	}
	return nil, err
}

func (o *opener) checkReceipt(f *opened) error {
	var signed record.SignedReceipt
	var err error
	if signed.JSON, signed.Sig, err = o.document(f.ID, ".receipt.json"); err != nil {
		return fmt.Errorf("reading its receipt: %w", err)
	}
	receipt, err := signed.Receipt()
	if err == nil && len(o.receipts) > 0 {
		receipt, err = signed.Verify(o.receipts, f.Docket)
	}
	f.Receipt, f.unchecked = &receipt, len(o.receipts) == 0
	return err
}

// write writes the parts of a record into a folder of its own, which appears when all of it is there.
func (o *opener) write(f *opened) error {
	dir := filepath.Join(o.cli.Out, string(f.ID))
	partial := dir + ".partial"
	for _, stale := range []string{partial, dir} {
		if err := os.RemoveAll(stale); err != nil {
			return fmt.Errorf("writing record %.12s: %w", f.ID, err)
		}
	}
	manifest, err := f.Manifest.Encode()
	if err != nil {
		return err
	}
	parts := append([]record.Part{{Name: "manifest.json", Data: manifest}, {Name: "manifest.sig", Data: f.record.Sig}}, f.record.Parts...)
	for _, p := range parts {
		path := filepath.Join(partial, filepath.FromSlash(p.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("writing record %.12s: %w", f.ID, err)
		}
		if err := os.WriteFile(path, p.Data, 0o600); err != nil {
			return fmt.Errorf("writing record %.12s: %w", f.ID, err)
		}
	}
	if err := os.Rename(partial, dir); err != nil {
		return fmt.Errorf("writing record %.12s: %w", f.ID, err)
	}
	return nil
}

// quarantine says in the output why a record is not there. The store stays as it is.
func (o *opener) quarantine(f *opened) error {
	dir := filepath.Join(o.cli.Out, "quarantine", filepath.Base(string(f.ID)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("quarantining a record: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(o.cli.Out, filepath.Base(string(f.ID)))); err != nil {
		return fmt.Errorf("quarantining a record: %w", err)
	}
	text := fmt.Sprintf("record %s\nin %s\nwas not opened: %s\n", f.ID, o.cli.Store, f.Trouble)
	if err := os.WriteFile(filepath.Join(dir, "reason.txt"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("quarantining a record: %w", err)
	}
	return nil
}
