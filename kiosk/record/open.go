package record

import (
	"crypto/ecdsa"
	"fmt"
	"io"

	"filippo.io/age"
)

// Open unseals a record and checks all of it: the seal to its last byte, the station's signature over the manifest, every
// name, size and digest, and that nothing else is there. What it returns the caller wipes.
func Open(src io.Reader, ids []age.Identity, station *ecdsa.PublicKey) (*Record, error) {
	plain, err := age.Decrypt(io.LimitReader(src, MaxRecord+1), ids...)
	if err != nil {
		return nil, fmt.Errorf("opening the record: %w", err)
	}
	r, err := read(plain, func(manifest, sig []byte) error { return verify(station, manifest, sig) })
	if err != nil {
		return nil, fmt.Errorf("opening the record: %w", err)
	}
	if r.Manifest.Suite != SuiteAge {
		r.Wipe()
		return nil, fmt.Errorf("opening the record: it says that it was sealed by %q, and it was not", clip(r.Manifest.Suite))
	}
	return r, nil
}

// ReadTar reads a record that was unsealed before. All of it is checked but the seal and the station's signature. What it returns
// the caller wipes.
func ReadTar(src io.Reader) (*Record, error) {
	r, err := read(src, func(_, _ []byte) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("reading a record's tar: %w", err)
	}
	return r, nil
}

// read reads a record's tar. verified judges the manifest before anything that it says is believed.
func read(src io.Reader, verified func(manifest, sig []byte) error) (*Record, error) {
	manifest, err := readEntry(src, manifestName, -1, MaxManifest)
	if err != nil {
		return nil, err
	}
	defer clear(manifest)
	sig, err := readEntry(src, signatureName, -1, maxSig)
	if err != nil {
		return nil, err
	}
	if err := verified(manifest, sig); err != nil {
		return nil, fmt.Errorf("checking the manifest: %w", err)
	}
	r := &Record{Sig: sig}
	if r.Manifest, err = DecodeManifest(manifest); err != nil {
		return nil, err
	}
	if err := r.readParts(src); err != nil {
		r.Wipe()
		return nil, err
	}
	return r, nil
}

func (r *Record) readParts(src io.Reader) error {
	for _, info := range r.Manifest.Parts {
		data, err := readEntry(src, info.Name, info.Size, MaxPart)
		if err != nil {
			return err
		}
		r.Parts = append(r.Parts, Part{Name: info.Name, MediaType: info.MediaType, Data: data, Compression: info.Compression})
		if digest(data) != info.SHA256 {
			return fmt.Errorf("reading %s: its digest is not the manifest's", info.Name)
		}
	}
	return readEnd(src)
}
