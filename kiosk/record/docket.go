package record

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"loket/kiosk/identity"
)

// The forms of a docket and a receipt; docs/schema describes them.
const (
	DocketSchema  = "loket/docket/1"
	ReceiptSchema = "loket/receipt/1"
)

// MaxDocket bounds a docket and a receipt, in bytes.
const MaxDocket = 8 << 10

// Docket travels in clear beside a sealed record, so that whoever takes it into custody can judge it without opening it. It
// holds no personal data.
type Docket struct {
	Schema    string       `json:"schema"`
	Record    ID           `json:"record"`
	Session   string       `json:"session"`
	Ticket    string       `json:"ticket"`
	Attempt   int          `json:"attempt"`
	Service   string       `json:"service"`
	Station   string       `json:"station"`
	Centre    string       `json:"centre"`
	Policy    DocketPolicy `json:"policy"`
	Simulated bool         `json:"simulated"`
	Suite     string       `json:"suite"`
	Size      int64        `json:"size"` // of the sealed record, in bytes
	Time      time.Time    `json:"time"` // of sealing
}

// DocketPolicy is as much of a policy as a docket names.
type DocketPolicy struct {
	ID     string `json:"id"`
	Digest string `json:"digest"`
}

// SignedDocket is a docket's exact bytes with the station's signature over them.
type SignedDocket struct{ JSON, Sig []byte }

// Docket starts the docket of a record with this manifest that was sealed to id and size.
func (m Manifest) Docket(id ID, size int64, at time.Time) Docket {
	return Docket{
		Record: id, Session: m.Session, Ticket: m.Ticket, Attempt: m.Attempt, Service: m.Service, Station: m.Station, Centre: m.Centre,
		Policy:    DocketPolicy{ID: m.Policy.ID, Digest: m.Policy.Digest},
		Simulated: m.Simulated, Suite: SuiteAge, Size: size, Time: at,
	}
}

// Sign checks the docket and signs the one form in which it is written. Schema and the form of Time are filled in.
func (d Docket) Sign(key crypto.Signer) (SignedDocket, error) {
	d.Schema, d.Time = DocketSchema, stamp(d.Time)
	if err := d.check(); err != nil {
		return SignedDocket{}, err
	}
	data, sig, err := sign(key, d)
	if err != nil {
		return SignedDocket{}, fmt.Errorf("signing the docket: %w", err)
	}
	return SignedDocket{JSON: data, Sig: sig}, nil
}

// Docket reads the docket strictly. It does not look at the signature.
func (s SignedDocket) Docket() (Docket, error) {
	var d Docket
	if err := decode(s.JSON, MaxDocket, &d); err != nil {
		return Docket{}, fmt.Errorf("reading the docket: %w", err)
	}
	return d, d.check()
}

// Verify checks the station's signature and reads the docket.
func (s SignedDocket) Verify(station *ecdsa.PublicKey) (Docket, error) {
	if err := verify(station, s.JSON, s.Sig); err != nil {
		return Docket{}, fmt.Errorf("checking the docket: %w", err)
	}
	return s.Docket()
}

func (d Docket) check() error {
	err := checkChain(d.Session, d.Ticket, d.Attempt, d.Service, d.Station, d.Centre)
	switch {
	case err != nil:
	case d.Schema != DocketSchema:
		err = fmt.Errorf("schema %q is not known", clip(d.Schema))
	case !d.Record.Valid():
		err = errors.New("it names no record")
	case !isDigest(d.Policy.Digest) || !word(d.Policy.ID):
		err = errors.New("the policy needs an id and a digest")
	case d.Suite == "":
		err = errors.New("the suite is missing")
	case d.Size < 1 || d.Size > MaxRecord:
		err = fmt.Errorf("a size of %d bytes, 1 to %d are allowed", d.Size, MaxRecord)
	case d.Time.IsZero():
		err = errors.New("the time is missing")
	}
	if err != nil {
		return fmt.Errorf("checking the docket: %w", err)
	}
	return nil
}

// ErrDisagree says that a docket and the record that it came with speak of different things.
var ErrDisagree = errors.New("docket and manifest disagree")

// Agree checks that a docket says of a record what the record's manifest says.
func Agree(d Docket, m Manifest) error {
	own := m.Docket(d.Record, d.Size, d.Time)
	own.Schema, own.Suite = d.Schema, m.Suite
	if own == d {
		return nil
	}
	for _, f := range []struct{ name, docket, manifest string }{
		{"session", d.Session, m.Session}, {"ticket", d.Ticket, m.Ticket},
		{"attempt", fmt.Sprint(d.Attempt), fmt.Sprint(m.Attempt)},
		{"service", d.Service, m.Service}, {"station", d.Station, m.Station}, {"centre", d.Centre, m.Centre},
		{"policy", d.Policy.ID, m.Policy.ID}, {"policy digest", d.Policy.Digest, m.Policy.Digest},
		{"simulated", fmt.Sprint(d.Simulated), fmt.Sprint(m.Simulated)}, {"suite", d.Suite, m.Suite},
	} {
		if f.docket != f.manifest {
			return fmt.Errorf("%w on the %s: %q and %q", ErrDisagree, f.name, clip(f.docket), clip(f.manifest))
		}
	}
	return ErrDisagree
}

// Receipt says that a service took a record into custody. Only a receipt that verifies lets a station delete what it sealed.
type Receipt struct {
	Schema  string    `json:"schema"`
	KeyID   string    `json:"key_id"` // of the key that signed: see [identity.KeyID]
	Record  ID        `json:"record"`
	Session string    `json:"session"`
	Station string    `json:"station"`
	Custody time.Time `json:"custody"` // since when the service holds it
}

// SignedReceipt is a receipt's exact bytes with the service's signature over them.
type SignedReceipt struct{ JSON, Sig []byte }

// Receipt makes the receipt for what the docket names and signs it.
func (d Docket) Receipt(key crypto.Signer, custody time.Time) (SignedReceipt, error) {
	id, err := identity.KeyID(key.Public())
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("signing the receipt: %w", err)
	}
	r := Receipt{Schema: ReceiptSchema, KeyID: id, Record: d.Record, Session: d.Session, Station: d.Station, Custody: stamp(custody)}
	data, sig, err := sign(key, r)
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("signing the receipt: %w", err)
	}
	return SignedReceipt{JSON: data, Sig: sig}, nil
}

// Receipt reads the receipt strictly. It does not look at the signature.
func (s SignedReceipt) Receipt() (Receipt, error) {
	var r Receipt
	if err := decode(s.JSON, MaxDocket, &r); err != nil {
		return Receipt{}, fmt.Errorf("reading the receipt: %w", err)
	}
	if r.Schema != ReceiptSchema || !r.Record.Valid() || r.Custody.IsZero() {
		return Receipt{}, errors.New("reading the receipt: schema, record or time of custody is missing")
	}
	return r, nil
}

// Verify checks that one of the pinned keys signed the receipt and that it is for the docket's record.
func (s SignedReceipt) Verify(pinned []*ecdsa.PublicKey, d Docket) (Receipt, error) {
	r, err := s.Receipt()
	if err != nil {
		return Receipt{}, err
	}
	key := pinnedKey(pinned, r.KeyID)
	if key == nil {
		return Receipt{}, fmt.Errorf("checking the receipt: key %q is not pinned here (hint: central_keys in the configuration lists the keys that count)", clip(r.KeyID))
	}
	if err := verify(key, s.JSON, s.Sig); err != nil {
		return Receipt{}, fmt.Errorf("checking the receipt: %w", err)
	}
	if r.Record != d.Record || r.Session != d.Session || r.Station != d.Station {
		return Receipt{}, fmt.Errorf("checking the receipt: it is for record %.12s of session %s at %s", r.Record, clip(r.Session), clip(r.Station))
	}
	return r, nil
}

func pinnedKey(pinned []*ecdsa.PublicKey, id string) *ecdsa.PublicKey {
	for _, key := range pinned {
		if own, err := identity.KeyID(key); err == nil && own == id {
			return key
		}
	}
	return nil
}

func sign(key crypto.Signer, v any) (data, sig []byte, err error) {
	if data, err = encode(v); err != nil {
		return nil, nil, err
	}
	if len(data) > MaxDocket {
		return nil, nil, fmt.Errorf("%d bytes, at most %d are allowed", len(data), MaxDocket)
	}
	sig, err = identity.Sign(key, data)
	return data, sig, err
}

func verify(key *ecdsa.PublicKey, data, sig []byte) error {
	if key == nil || len(sig) > maxSig {
		return errors.New("verifying a signature: it can't be one of the known key")
	}
	return identity.Verify(key, data, sig)
}
