package store

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is what one try of a password costs: argon2id (RFC 9106) with these parameters.
type Cost struct {
	Time   uint32
	Memory uint32 // KiB
	Lanes  uint8
}

// defaultCost is RFC 9106's second recommendation, for where memory is scarce.
func defaultCost() Cost { return Cost{Time: 3, Memory: 64 << 10, Lanes: 4} }

// The bounds of a password, in bytes.
const (
	minPassword = 12
	maxPassword = 256
)

// CheckPassword reports what makes a password unusable.
func CheckPassword(password string) error {
	if len(password) < minPassword || len(password) > maxPassword {
		return fmt.Errorf("checking the password: it needs %d to %d bytes (hint: four words that have nothing to do with each other)", minPassword, maxPassword)
	}
	return nil
}

const hashForm = "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s"

// hash gives a password in PHC form with a salt of its own.
func (c Cost) hash(password string) string {
	var salt [16]byte
	_, _ = rand.Read(salt[:]) // never fails
	key := argon2.IDKey([]byte(password), salt[:], c.Time, c.Memory, c.Lanes, 32)
	enc := base64.RawStdEncoding
	return fmt.Sprintf(hashForm, argon2.Version, c.Memory, c.Time, c.Lanes, enc.EncodeToString(salt[:]), enc.EncodeToString(key))
}

// parsed is a password's hash as it is kept.
type parsed struct {
	Cost
	salt, key []byte
}

func parseHash(text string) (parsed, error) {
	var p parsed
	var version int
	var rest string
	_, err := fmt.Sscanf(text, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &p.Memory, &p.Time, &p.Lanes, &rest)
	if err != nil || version != argon2.Version || p.Memory < 8 || p.Memory > 1<<20 || p.Time < 1 || p.Time > 64 || p.Lanes < 1 {
		return parsed{}, errors.New("reading a password's hash: it is none that is known here")
	}
	salt, key, _ := strings.Cut(rest, "$")
	if p.salt, err = base64.RawStdEncoding.DecodeString(salt); err == nil {
		p.key, err = base64.RawStdEncoding.DecodeString(key)
	}
	if err != nil || len(p.salt) < 8 || len(p.key) < 16 || len(p.key) > 64 {
		return parsed{}, errors.New("reading a password's hash: it is none that is known here")
	}
	return p, nil
}

// matches tries a password in a time that does not depend on it.
func (p parsed) matches(password string) bool {
	key := argon2.IDKey([]byte(password), p.salt, p.Time, p.Memory, p.Lanes, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1
}
