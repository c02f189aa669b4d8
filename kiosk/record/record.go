// Package record makes the record of one intake, seals it, and opens it again.
//
// The one idea: a record is a tar with exactly one possible form. The manifest comes first and names everything that follows
// with its digest, the station signs the manifest's bytes, and the whole is sealed to keys that no station holds. Whoever opens
// it accepts that one form and nothing else. Beside the sealed bytes travel a docket and later a receipt, both without personal
// data. See docs/record.md.
package record

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"loket/kiosk/biometric"
	"loket/kiosk/identity"
)

// Limits of what is written and read. Whatever is larger is refused in both directions.
const (
	MaxManifest = 1 << 20  // bytes of manifest.json
	MaxPart     = 16 << 20 // bytes of one part
	MaxRecord   = 64 << 20 // bytes of all parts together, and of a sealed record
	maxSig      = 80       // bytes of a DER signature on P-256
)

// ID names a record: the SHA-256 of its sealed bytes in lower-case hexadecimal digits.
type ID string

// ParseID checks the form of an id.
func ParseID(s string) (ID, error) {
	id := ID(s)
	if !id.Valid() {
		return "", fmt.Errorf("reading a record id: it needs 64 lower-case hexadecimal digits, not %q", clip(s))
	}
	return id, nil
}

// Valid reports whether id has the form of a record's id.
func (id ID) Valid() bool { return isDigest(string(id)) }

func isDigest(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size && hex.EncodeToString(raw) == s
}

// clip keeps what came from outside short in messages.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// Part is one file of a record, in the clear. It redacts itself in logs.
type Part struct {
	Name      string // "face.jpg", "fingers/02.png"
	MediaType string
	Data      []byte

	Compression *biometric.Compression // nil where an image was not compressed here, or without loss

	sum string // SHA-256 of Data since [PartOf]; empty where it was not computed
}

// PartOf gives a sample the name under which a record holds it, and takes its digest: what changes from here on is noticed
// when the record is opened. The part shares the sample's bytes.
func PartOf(s biometric.Sample) (Part, error) {
	for _, k := range kinds() {
		if k.modality == s.Modality && k.mediaType == s.MediaType {
			return Part{Name: k.name(s.Position), MediaType: s.MediaType, Data: s.Data, Compression: s.Compression, sum: digest(s.Data)}, nil
		}
	}
	return Part{}, fmt.Errorf("naming a part: a record has no place for a %s sample of type %q", s.Modality, clip(s.MediaType))
}

// LogValue keeps the data out of logs.
func (p Part) LogValue() slog.Value { return slog.StringValue(p.Name + ", redacted") }

// String keeps the data out of formatted output.
func (p Part) String() string { return p.LogValue().String() }

// GoString keeps the data out of %#v.
func (p Part) GoString() string { return p.String() }

// Record is what one intake came to, in the clear. Whoever holds it wipes it. It redacts itself in logs.
type Record struct {
	Manifest Manifest // Schema, Suite and Parts are filled in when it is written
	Parts    []Part   // in any order
	Signer   crypto.Signer
	Sig      []byte // of an opened record: the station's signature over the manifest's bytes
}

// LogValue names the session and nothing of the person.
func (r *Record) LogValue() slog.Value {
	if r == nil {
		return slog.StringValue("no record")
	}
	return r.Manifest.LogValue()
}

// String keeps the record out of formatted output.
func (r *Record) String() string { return r.LogValue().String() }

// GoString keeps the record out of %#v.
func (r *Record) GoString() string { return r.String() }

// Wipe overwrites the data of all parts. The record is empty afterwards.
func (r *Record) Wipe() {
	for _, p := range r.Parts {
		clear(p.Data)
	}
	*r = Record{}
}

// Write writes the record as a tar: the manifest, the station's signature over it, then the parts in the order that
// docs/record.md gives. The same manifest, signature and parts give the same bytes. Nothing is copied on the way.
func (r *Record) Write(w io.Writer) error {
	manifest, sig, parts, err := r.prepare()
	if err != nil {
		return err
	}
	defer clear(manifest)
	t := tarWriter{w: w}
	t.entry(manifestName, manifest)
	t.entry(signatureName, sig)
	for _, p := range parts {
		t.entry(p.Name, p.Data)
	}
	t.end()
	if t.err != nil {
		return fmt.Errorf("writing the record: %w", t.err)
	}
	return nil
}

// prepare gives the manifest's exact bytes, the signature over them and the parts in their order.
func (r *Record) prepare() (manifest, sig []byte, parts []Part, err error) {
	parts = slices.Clone(r.Parts)
	for _, p := range parts {
		if _, ok := kindOf(p.Name); !ok {
			return nil, nil, nil, fmt.Errorf("writing the record: it has no place for a part %q", clip(p.Name))
		}
	}
	slices.SortStableFunc(parts, func(a, b Part) int { return rank(a.Name) - rank(b.Name) })
	m := r.Manifest
	m.Schema, m.Parts = ManifestSchema, describe(parts)
	if manifest, err = m.Encode(); err != nil {
		return nil, nil, nil, err
	}
	if r.Signer == nil {
		return nil, nil, nil, errors.New("writing the record: nobody signs it")
	}
	if sig, err = identity.Sign(r.Signer, manifest); err != nil {
		return nil, nil, nil, fmt.Errorf("signing the manifest: %w", err)
	}
	return manifest, sig, parts, nil
}

// describe computes what the manifest says of each part, on all cores.
func describe(parts []Part) []PartInfo {
	infos := make([]PartInfo, len(parts))
	var group sync.WaitGroup
	for i, p := range parts {
		infos[i] = PartInfo{Name: p.Name, MediaType: p.MediaType, Size: int64(len(p.Data)), SHA256: p.sum, Compression: p.Compression}
		if p.sum == "" {
			group.Go(func() { infos[i].SHA256 = digest(p.Data) })
		}
	}
	group.Wait()
	return infos
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
