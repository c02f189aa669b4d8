// Package handover carries a session in progress, with its samples, from one station to another that no one between can read.
//
// The one idea: the receiving station offers a key that it made a moment ago and signs with its certificate; the sending
// station seals everything to that key and signs it with its own. The key lives in memory and opens one bundle, so nothing that
// was recorded on the way can be opened later or taken in twice. The queue relays what it can't read. See docs/handover.md.
package handover

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"loket/kiosk/identity"
)

// KeySchema names the form of an [Offer].
const KeySchema = "loket/handover-key/1"

// Limits of an offer.
const (
	maxOffer = 8 << 10 // bytes; a recipient has 2 kB
	maxSig   = 80      // bytes of a DER signature on P-256

	// Fresh is how long an offer counts, Ahead how far the clock of the other station may be in front.
	Fresh = 24 * time.Hour
	Ahead = 10 * time.Minute
)

// Offer is a station's word that bundles for it may be sealed to a key.
type Offer struct {
	Schema  string    `json:"schema"`
	Station string    `json:"station"`
	Centre  string    `json:"centre"`
	Key     string    `json:"key"` // a hybrid age recipient, "age1pq1…"
	Issued  time.Time `json:"issued"`
}

// SignedOffer is an offer's exact bytes with the station's signature and certificate.
type SignedOffer struct {
	Chain [][]byte `json:"chain"` // as [identity.Identity.Chain] gives it
	JSON  []byte   `json:"json"`
	Sig   []byte   `json:"sig"` // as [identity.Sign] makes it
}

// Key opens one bundle. It is kept in memory alone.
type Key struct {
	private *age.HybridIdentity
}

// NewKey makes a key.
func NewKey() (*Key, error) {
	private, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("making a key for hand-overs: %w", err)
	}
	return &Key{private: private}, nil
}

// ID names the key: the SHA-256 of the recipient as text, in hexadecimal digits.
func (k *Key) ID() string { return keyID(k.private.Recipient().String()) }

func keyID(recipient string) string {
	sum := sha256.Sum256([]byte(recipient))
	return hex.EncodeToString(sum[:])
}

// Offer offers the key in the name of the station that by is.
func (k *Key) Offer(by *identity.Identity, now time.Time) (SignedOffer, error) {
	data, err := json.Marshal(Offer{Schema: KeySchema, Station: by.Name, Centre: by.Centre, Key: k.private.Recipient().String(), Issued: stamp(now)})
	if err != nil {
		return SignedOffer{}, fmt.Errorf("offering a key: %w", err)
	}
	sig, err := identity.Sign(by.Signer, data)
	if err != nil {
		return SignedOffer{}, fmt.Errorf("offering a key: %w", err)
	}
	return SignedOffer{JSON: data, Sig: sig, Chain: by.Chain()}, nil
}

// Verify checks that a desk of the own centre with that name made the offer, lately. us pins the authority.
func (s SignedOffer) Verify(us *identity.Identity, station string, now time.Time) (Offer, error) {
	o, err := s.verify(us, station, now)
	if err != nil {
		return Offer{}, fmt.Errorf("checking the key of %.64q: %w", station, err)
	}
	return o, nil
}

func (s SignedOffer) verify(us *identity.Identity, station string, now time.Time) (Offer, error) {
	peer, key, err := us.VerifyChain(s.Chain, now)
	if err != nil {
		return Offer{}, err
	}
	if len(s.JSON) > maxOffer || len(s.Sig) > maxSig {
		return Offer{}, errors.New("it is too long")
	}
	if err := identity.Verify(key, s.JSON, s.Sig); err != nil {
		return Offer{}, err
	}
	var o Offer
	if err := decode(s.JSON, &o); err != nil {
		return Offer{}, err
	}
	switch {
	case o.Schema != KeySchema:
		return Offer{}, errors.New("it is no offer of a key")
	case peer.Role != identity.RoleDesk:
		return Offer{}, fmt.Errorf("a %q takes no sessions over", peer.Role)
	case peer.Name != station || o.Station != station || o.Centre != us.Centre:
		return Offer{}, fmt.Errorf("another station offers it (hint: whoever relays keys may have exchanged it)")
	case now.Sub(o.Issued) > Fresh || o.Issued.Sub(now) > Ahead:
		return Offer{}, errors.New("it is too old, or from the future (hint: compare the clocks of both stations)")
	}
	if _, err := age.ParseHybridRecipient(o.Key); err != nil {
		return Offer{}, err
	}
	return o, nil
}

// decode reads exactly one JSON value of known members.
func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows it")
	}
	return nil
}

// stamp gives a time the form in which documents carry it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
