package record

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// SuiteAge names how [AgeSealer] seals: age v1, file key wrapped for each recipient by ML-KEM-768 with X25519, body by
// ChaCha20-Poly1305.
const SuiteAge = "age-v1/mlkem768x25519"

// Sealer seals records. It holds public keys only.
type Sealer interface {
	// Seal writes the record, sealed, to dst. It reads the record once and keeps nothing of it.
	Seal(dst io.Writer, r *Record) error
}

// AgeSealer seals with age to at least two hybrid post-quantum recipients.
type AgeSealer struct{ Recipients []age.Recipient }

// maxRecipients bounds a list of recipients; each makes a record 2 kB larger.
const maxRecipients = 16

// Seal writes the sealed record to dst.
func (a AgeSealer) Seal(dst io.Writer, r *Record) error {
	if err := checkRecipients(a.Recipients); err != nil {
		return fmt.Errorf("sealing the record: %w", err)
	}
	sealed := Record{Manifest: r.Manifest, Parts: r.Parts, Signer: r.Signer}
	sealed.Manifest.Suite = SuiteAge
	w, err := age.Encrypt(dst, a.Recipients...)
	if err != nil {
		return fmt.Errorf("sealing the record: %w", err)
	}
	if err := sealed.Write(w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("sealing the record: %w", err)
	}
	return nil
}

// checkRecipients demands two different hybrid recipients, so that one lost key does not lose the records.
func checkRecipients(list []age.Recipient) error {
	seen := map[string]bool{}
	for i, r := range list {
		hybrid, ok := r.(*age.HybridRecipient)
		if !ok {
			return fmt.Errorf("recipient %d is not a hybrid post-quantum one (hint: they begin with age1pq1)", i+1)
		}
		seen[hybrid.String()] = true
	}
	if len(seen) < 2 {
		return errors.New("two different recipients are needed at least (hint: the service's and an escrow's)")
	}
	if len(seen) != len(list) || len(list) > maxRecipients {
		return fmt.Errorf("a recipient is there twice, or there are more than %d", maxRecipients)
	}
	return nil
}

// ParseRecipients reads age recipients, one a line; empty lines and lines that begin with # are passed over. At least two
// hybrid post-quantum ones are demanded.
func ParseRecipients(r io.Reader) ([]age.Recipient, error) {
	list, err := age.ParseRecipients(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading recipients: %w", err)
	}
	if err := checkRecipients(list); err != nil {
		return nil, fmt.Errorf("reading recipients: %w", err)
	}
	return list, nil
}
