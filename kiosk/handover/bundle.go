package handover

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"filippo.io/age"

	"loket/kiosk/biometric"
	"loket/kiosk/biometric/ink"
	"loket/kiosk/identity"
	"loket/kiosk/record"
	"loket/kiosk/record/picture"
	"loket/kiosk/session"
)

// Schema names the form of a bundle.
const Schema = "loket/handover/1"

// Limits of a bundle. Whatever is larger is refused in both directions.
const (
	MaxBundle = 32 << 20 // bytes of it, sealed
	maxHeader = 1 << 20
	maxPart   = 16 << 20
	maxParts  = 16
	maxPixels = 1 << 26 // of a sample's image, decoded
)

// Header says whose session a bundle carries, from where to where, and what follows. It holds no sample.
type Header struct {
	Schema  string              `json:"schema"`
	ID      string              `json:"id"` // of the hand-over
	Centre  string              `json:"centre"`
	From    string              `json:"from"` // station
	To      string              `json:"to"`   // station
	Key     string              `json:"key"`  // that it is sealed to: [Key.ID]
	Created time.Time           `json:"created"`
	Session session.Session     `json:"session"` // ended as handed-over, its target is To
	Devices []record.DeviceInfo `json:"devices"` // that were used so far
	Parts   []Part              `json:"parts"`   // in the order in which they follow
}

// Part describes one sample.
type Part struct {
	Step      string                   `json:"step"` // the plan's
	Modality  biometric.Modality       `json:"modality"`
	Position  biometric.FingerPosition `json:"position,omitempty"`
	MediaType string                   `json:"media_type"`
	Width     int                      `json:"width"`
	Height    int                      `json:"height"`
	PPI       int                      `json:"ppi,omitempty"`
	Quality   biometric.Quality        `json:"quality"`
	Size      int                      `json:"size"`
	SHA256    string                   `json:"sha256"`

	Compression *biometric.Compression `json:"compression,omitempty"`
}

// Sample is a sample with the step that it belongs to. It redacts itself as [biometric.Sample] does.
type Sample struct {
	Step string
	biometric.Sample
}

// Bundle is a session with its samples, in the clear. Whoever holds it wipes it.
type Bundle struct {
	ID      string
	Session session.Session
	Devices []record.DeviceInfo
	Samples []Sample

	From       identity.Peer    // of a bundle that was opened: who signed it
	Unreadable map[string]error // of a bundle that was opened: the steps of which nothing is left, and why
}

// Refuse wipes and drops the samples of a step that can't be used, and notes why.
func (b *Bundle) Refuse(step string, why error) {
	if b.Unreadable[step] != nil {
		return
	}
	if b.Unreadable == nil {
		b.Unreadable = map[string]error{}
	}
	b.Unreadable[step] = why
	b.Samples = slices.DeleteFunc(b.Samples, func(s Sample) bool {
		if s.Step == step {
			s.Wipe()
		}
		return s.Step == step
	})
}

// LogValue names the session and nothing of the person.
func (b *Bundle) LogValue() slog.Value {
	return slog.GroupValue(slog.String("handover", b.ID), slog.String("session", b.Session.ID), slog.Int("samples", len(b.Samples)))
}

// String keeps the bundle out of formatted output.
func (b *Bundle) String() string { return b.LogValue().String() }

// GoString keeps the bundle out of %#v.
func (b *Bundle) GoString() string { return b.String() }

// Wipe overwrites all samples.
func (b *Bundle) Wipe() {
	for i := range b.Samples {
		b.Samples[i].Wipe()
	}
	b.Samples = nil
}

// Seal writes the bundle to dst, signed by the station that by is and sealed to an offer that [SignedOffer.Verify] let through.
// It reads the samples once and keeps nothing of them.
func (b *Bundle) Seal(dst io.Writer, by *identity.Identity, to Offer, now time.Time) error {
	if err := b.seal(dst, by, to, now); err != nil {
		return fmt.Errorf("sealing a hand-over to %s: %w", to.Station, err)
	}
	return nil
}

func (b *Bundle) seal(dst io.Writer, by *identity.Identity, to Offer, now time.Time) error {
	recipient, err := age.ParseHybridRecipient(to.Key)
	if err != nil {
		return err
	}
	h := Header{Schema: Schema, ID: b.ID, Centre: by.Centre, From: by.Name, To: to.Station, Key: keyID(to.Key), Created: stamp(now),
		Session: b.Session, Devices: b.Devices}
	for _, s := range b.Samples {
		h.Parts = append(h.Parts, describe(s))
	}
	if err := h.check(); err != nil {
		return err
	}
	header, err := json.Marshal(h)
	if err != nil {
		return err
	}
	defer clear(header)
	sig, err := identity.Sign(by.Signer, header)
	if err != nil {
		return err
	}
	w, err := age.Encrypt(dst, recipient)
	if err != nil {
		return err
	}
	return errors.Join(write(w, header, sig, by.Chain(), b.Samples), w.Close())
}

func describe(s Sample) Part {
	return Part{Step: s.Step, Modality: s.Modality, Position: s.Position, MediaType: s.MediaType, Width: s.Width, Height: s.Height, PPI: s.PPI,
		Quality: s.Quality, Size: len(s.Data), SHA256: digest(s.Data), Compression: s.Compression}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// write writes a bundle's plain form: header, signature and certificates, each behind its length, then the samples as they are.
func write(w io.Writer, header, sig []byte, chain [][]byte, samples []Sample) error {
	if err := errors.Join(block(w, header), block(w, sig), number(w, len(chain))); err != nil {
		return err
	}
	for _, der := range chain {
		if err := block(w, der); err != nil {
			return err
		}
	}
	for _, s := range samples {
		if _, err := w.Write(s.Data); err != nil {
			return err
		}
	}
	return nil
}

func block(w io.Writer, data []byte) error {
	if err := number(w, len(data)); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

func number(w io.Writer, n int) error { return binary.Write(w, binary.BigEndian, uint32(n)) }

// Expected is what a receiving station was told of a bundle before it opens it.
type Expected struct {
	ID      string
	From    string
	Ticket  string
	Session string
	Attempt int
}

// Open opens a bundle with its key and checks all of it: that a station of the own centre signed it, that it is for this
// station, this key and what was expected, and every sample's digest. A sample that is no image, or another than the header says,
// is refused with its step alone. What it returns the caller wipes.
func (k *Key) Open(sealed []byte, us *identity.Identity, want Expected, now time.Time) (*Bundle, error) {
	plain, err := age.Decrypt(bytes.NewReader(sealed), k.private)
	if err != nil {
		return nil, fmt.Errorf("opening a hand-over: %w (hint: it was sealed to another key, or changed on the way)", err)
	}
	var from identity.Peer
	b, err := read(plain, func(header, sig []byte, chain [][]byte) (h Header, err error) {
		if h, from, err = verify(header, sig, chain, us, now); err != nil {
			return Header{}, err
		}
		return h, h.bound(us, k.ID(), from, want)
	})
	if err != nil {
		return nil, fmt.Errorf("opening a hand-over: %w", err)
	}
	b.From = from
	return b, nil
}

// verify reads a header whose signature a station of the own centre made.
func verify(header, sig []byte, chain [][]byte, us *identity.Identity, now time.Time) (Header, identity.Peer, error) {
	from, key, err := us.VerifyChain(chain, now)
	if err != nil {
		return Header{}, from, err
	}
	if err := identity.Verify(key, header, sig); err != nil {
		return Header{}, from, err
	}
	var h Header
	if err := decode(header, &h); err != nil {
		return Header{}, from, fmt.Errorf("reading the header: %w", err)
	}
	return h, from, h.check()
}

// bound reports what ties a bundle to something else than what is expected here.
func (h Header) bound(us *identity.Identity, key string, from identity.Peer, want Expected) error {
	s := h.Session
	switch {
	case from.Role != identity.RoleKiosk && from.Role != identity.RoleDesk:
		return fmt.Errorf("a %q signed it, which captures nobody", from.Role)
	case from.Role == identity.RoleKiosk && len(s.Comparisons) > 0:
		return errors.New("a kiosk says that it compared prints, which desks do")
	case h.From != from.Name || h.From != want.From:
		return fmt.Errorf("it is from %.64q, not from %.64q", h.From, want.From)
	case h.To != us.Name || h.Centre != us.Centre:
		return fmt.Errorf("it is for %.64q", h.To)
	case h.Key != key:
		return errors.New("it was made for another key")
	case h.ID != want.ID || s.ID != want.Session || s.Ticket != want.Ticket || s.Attempt != want.Attempt:
		return errors.New("it carries another session than the queue said")
	}
	return nil
}

// check reports what contradicts itself in a header.
func (h Header) check() error {
	switch {
	case h.Schema != Schema:
		return errors.New("it is no hand-over")
	case h.ID == "" || len(h.ID) > 64 || h.From == h.To:
		return errors.New("the header has no id, or leads to where it comes from")
	case h.Session.End != session.HandedOver || h.Session.Target != h.To:
		return errors.New("the session was not handed over to where it goes")
	case len(h.Parts) > maxParts:
		return fmt.Errorf("%d samples, at most %d are allowed", len(h.Parts), maxParts)
	case len(h.Devices) > maxParts:
		return errors.New("too many devices")
	}
	if err := h.Session.Check(); err != nil {
		return err
	}
	total := 0
	for _, p := range h.Parts {
		if p.Size < 1 || p.Size > maxPart || p.Modality == biometric.Finger != p.Position.Single() || !p.Modality.Valid() {
			return errors.New("a sample is too large, empty, or of no modality")
		}
		total += p.Size
	}
	if total > MaxBundle-maxHeader {
		return errors.New("the samples are too large together")
	}
	return h.held()
}

// held: there is a sample for everything that the session holds, and none besides.
func (h Header) held() error {
	type place struct {
		step   string
		finger biometric.FingerPosition
		form   string // media type, of a signature
	}
	want := map[place]bool{}
	for _, o := range h.Session.Outcomes {
		switch o.Modality {
		case biometric.Face:
			want[place{o.Step, 0, ""}] = true
		case biometric.Signature: // its picture and its strokes
			want[place{o.Step, 0, "image/png"}], want[place{o.Step, 0, ink.MediaType}] = true, true
		}
		for _, f := range o.Captured {
			want[place{o.Step, f, ""}] = true
		}
	}
	for _, p := range h.Parts {
		at := place{p.Step, p.Position, ""}
		if p.Modality == biometric.Signature {
			at.form = p.MediaType
		}
		if !want[at] {
			return errors.New("a sample is there twice, or of nothing that the session holds")
		}
		delete(want, at)
	}
	if len(want) > 0 {
		return errors.New("a sample is missing of what the session holds")
	}
	return nil
}

// read reads a bundle's plain form. verified judges the header before anything that it says is believed.
func read(src io.Reader, verified func(header, sig []byte, chain [][]byte) (Header, error)) (*Bundle, error) {
	header, err := readBlock(src, maxHeader)
	if err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	defer clear(header)
	sig, err := readBlock(src, maxSig)
	if err != nil {
		return nil, fmt.Errorf("reading the signature: %w", err)
	}
	chain, err := readChain(src)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates: %w", err)
	}
	h, err := verified(header, sig, chain)
	if err != nil {
		return nil, err
	}
	b := &Bundle{ID: h.ID, Session: h.Session, Devices: h.Devices}
	if err := b.readSamples(src, h.Parts); err != nil {
		b.Wipe()
		return nil, err
	}
	return b, nil
}

func readChain(src io.Reader) ([][]byte, error) {
	n, err := readNumber(src)
	if err != nil {
		return nil, err
	}
	if n > identity.MaxChain {
		return nil, fmt.Errorf("there are %d, at most %d are allowed", n, identity.MaxChain)
	}
	var chain [][]byte
	for range n {
		der, err := readBlock(src, identity.MaxCertificate)
		if err != nil {
			return nil, err
		}
		chain = append(chain, der)
	}
	return chain, nil
}

func (b *Bundle) readSamples(src io.Reader, parts []Part) error {
	for _, p := range parts {
		s := Sample{p.Step, biometric.Sample{Modality: p.Modality, Position: p.Position, MediaType: p.MediaType, Width: p.Width, Height: p.Height,
			PPI: p.PPI, Quality: p.Quality, Compression: p.Compression, Data: make([]byte, p.Size)}}
		b.Samples = append(b.Samples, s)
		if _, err := io.ReadFull(src, s.Data); err != nil {
			return fmt.Errorf("reading a sample: %w", err)
		}
		if digest(s.Data) != p.SHA256 {
			return errors.New("reading a sample: its digest is not the header's")
		}
	}
	if n, err := io.ReadFull(src, make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("reading the end: something follows it: %w", err)
	}
	b.look()
	return nil
}

// look refuses the steps of which a sample is not the image that the header says.
func (b *Bundle) look() {
	for _, s := range slices.Clone(b.Samples) {
		if err := s.pictured(); err != nil {
			b.Refuse(s.Step, err)
		}
	}
}

// pictured holds an image to its media type and size, and to a size that a station can decode: few bytes may claim very many
// pixels.
func (s Sample) pictured() error {
	if s.MediaType == ink.MediaType {
		return nil
	}
	switch head, err := picture.Of(s.Data); {
	case err != nil:
		return err
	case string(head.Coding) != s.MediaType:
		return fmt.Errorf("it is %s, and not what the header says", head.Coding)
	case head.Width > maxPixels || head.Height > maxPixels || head.Width*head.Height > maxPixels:
		return fmt.Errorf("an image of %d x %d, at most %d pixels are allowed", head.Width, head.Height, maxPixels)
	case head.Width != s.Width || head.Height != s.Height:
		return fmt.Errorf("an image of %d x %d, and not what the header says", head.Width, head.Height)
	case s.Modality == biometric.Finger && (head.Components != 1 || head.Depth != 8):
		return fmt.Errorf("a print of %d bits in %d colours", head.Depth, head.Components)
	case !picture.Whole(s.Data):
		return errors.New("the image has no end")
	}
	return nil
}

func readBlock(src io.Reader, limit int) ([]byte, error) {
	n, err := readNumber(src)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > limit {
		return nil, fmt.Errorf("its length is %d, from 1 to %d is allowed", n, limit)
	}
	// What is not there is not made room for.
	data, err := io.ReadAll(io.LimitReader(src, int64(n)))
	if err == nil && len(data) < n {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}

func readNumber(src io.Reader) (int, error) {
	var b [4]byte
	if _, err := io.ReadFull(src, b[:]); err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(b[:])), nil
}

// Bytes seals the bundle into memory.
func (b *Bundle) Bytes(by *identity.Identity, to Offer, now time.Time) ([]byte, error) {
	var sealed bytes.Buffer
	err := b.Seal(&sealed, by, to, now)
	return sealed.Bytes(), err
}
