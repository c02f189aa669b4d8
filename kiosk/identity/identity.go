// Package identity says who a process is and who it is talking to.
//
// The one idea: every machine of a centre holds one ECDSA P-256 key and one certificate; the certificate's common name is
// the station or service, its organisation the centre, its organisational unit the role. TLS 1.3 and nothing older, in both
// directions with certificates. See docs/pki.md.
package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Role is what a certificate entitles its holder to.
type Role string

// The roles.
const (
	RoleKiosk        Role = "kiosk"
	RoleDesk         Role = "desk"
	RoleQueue        Role = "queue"
	RoleCentral      Role = "central"
	RoleAppointments Role = "appointments"
)

// Demo marks certificates of a demonstration: it stands as a second organisational unit in the certificate authority's
// name and in every certificate under it. Only a station with such a certificate may open a simulated bus.
const Demo = "demo"

// Supervised marks the certificate of a kiosk beside which an attendant stands, as a further organisational unit. What a kiosk
// without it captured is verified at the desk that takes it over, whatever the kiosk says.
const Supervised = "supervised"

// Peer is what a verified certificate says of its holder.
type Peer struct {
	Name       string // station or service
	Centre     string
	Role       Role
	Demo       bool
	Supervised bool // a desk is, too
}

// Identity is a key with its certificate and the authority that it trusts.
type Identity struct {
	Peer
	Certificate tls.Certificate
	Roots       *x509.CertPool
	Signer      crypto.Signer
}

// Load reads a PEM certificate (leaf first), its key and the certificate authority.
func Load(certFile, keyFile, caFile string) (*Identity, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("loading the certificate: %w (hint: check the files named in the configuration)", err)
	}
	roots, err := LoadRoots(caFile)
	if err != nil {
		return nil, err
	}
	signer, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || signer.Curve != elliptic.P256() {
		return nil, fmt.Errorf("loading the certificate %s: the key is not ECDSA P-256", certFile)
	}
	peer, err := PeerOf(pair.Leaf)
	if err != nil {
		return nil, err
	}
	return &Identity{Peer: peer, Certificate: pair, Roots: roots, Signer: signer}, nil
}

// LoadRoots reads a PEM file of certificate authorities.
func LoadRoots(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("loading the certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("loading the certificate authority %s: it holds no certificate", file)
	}
	return pool, nil
}

// PeerOf reads who a certificate names.
func PeerOf(cert *x509.Certificate) (Peer, error) {
	s := cert.Subject
	if s.CommonName == "" || len(s.Organization) != 1 || len(s.OrganizationalUnit) == 0 {
		return Peer{}, fmt.Errorf("reading the certificate of %q: it needs a common name, one organisation and a role", s.CommonName)
	}
	// DER orders a set of units as it likes, so the role is the unit that is no mark.
	p := Peer{Name: s.CommonName, Centre: s.Organization[0]}
	p.Demo = slices.Contains(s.OrganizationalUnit, Demo) || slices.Contains(cert.Issuer.OrganizationalUnit, Demo)
	for _, u := range s.OrganizationalUnit {
		switch {
		case u == Demo:
		case u == Supervised:
			p.Supervised = true
		case p.Role != "":
			return Peer{}, fmt.Errorf("reading the certificate of %q: it gives two roles, %q and %q (hint: docs/pki.md)", s.CommonName, p.Role, u)
		default:
			p.Role = Role(u)
		}
	}
	p.Supervised = p.Supervised || p.Role == RoleDesk
	return p, nil
}

// PeerFrom reads who is at the other end of a TLS connection. The certificate was verified by the handshake.
func PeerFrom(state *tls.ConnectionState) (Peer, error) {
	if state == nil || len(state.VerifiedChains) == 0 {
		return Peer{}, errors.New("reading the peer: no verified client certificate")
	}
	return PeerOf(state.VerifiedChains[0][0])
}

// Server returns the TLS configuration of a listener that wants client certificates. It offers HTTP/1.1 only.
func (id *Identity) Server() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{id.Certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    id.Roots,
		NextProtos:   []string{"http/1.1"},
	}
}

// Client returns the TLS configuration for calls to the service that holds role.
func (id *Identity) Client(role Role) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{id.Certificate},
		RootCAs:      id.Roots,
		NextProtos:   []string{"http/1.1"},
		VerifyConnection: func(s tls.ConnectionState) error {
			p, err := PeerFrom(&s)
			if err == nil && p.Role != role {
				err = fmt.Errorf("checking the server: its certificate is for %q, not %q", p.Role, role)
			}
			return err
		},
	}
}

// Sign signs the SHA-256 of message; the result is an ASN.1 DER signature that openssl verifies.
func Sign(key crypto.Signer, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	return key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// Verify checks a signature made by [Sign].
func Verify(key *ecdsa.PublicKey, message, signature []byte) error {
	digest := sha256.Sum256(message)
	if !ecdsa.VerifyASN1(key, digest[:], signature) {
		return errors.New("verifying a signature: it does not match")
	}
	return nil
}

// KeyID names a public key: the first 16 hexadecimal digits of the SHA-256 of its PKIX form.
func KeyID(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("naming a key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8]), nil
}

// LoadCertificate reads the first certificate of a PEM file.
func LoadCertificate(file string) (*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("loading a certificate: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("loading the certificate %s: it is not PEM", file)
	}
	return x509.ParseCertificate(block.Bytes)
}

// LoadPublicKey reads an ECDSA P-256 public key from a PEM file.
func LoadPublicKey(file string) (*ecdsa.PublicKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("loading a public key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("loading the public key %s: it is not a PEM public key", file)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("loading the public key %s: %w", file, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("loading the public key %s: it is not ECDSA P-256", file)
	}
	return key, nil
}

// Expiry tells how long the own certificate is still valid.
func (id *Identity) Expiry(now time.Time) time.Duration { return id.Certificate.Leaf.NotAfter.Sub(now) }

// Chain is the own certificate with those between it and the authority, leaf first, in DER: what lets another machine of the
// centre check a signature of ours without having met us.
func (id *Identity) Chain() [][]byte { return id.Certificate.Certificate }

// Bounds of a chain that comes from outside.
const (
	MaxChain       = 4       // certificates
	MaxCertificate = 4 << 10 // bytes of each
)

// VerifyChain checks a chain as [Identity.Chain] gives it against the own authority and for the own centre, and says who holds
// its leaf with which key. A demonstration's certificate counts for a demonstration only.
func (id *Identity) VerifyChain(chain [][]byte, now time.Time) (Peer, *ecdsa.PublicKey, error) {
	certs, err := parseChain(chain)
	if err != nil {
		return Peer{}, nil, err
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	leaf := certs[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: id.Roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return Peer{}, nil, fmt.Errorf("checking a certificate: %w", err)
	}
	peer, err := PeerOf(leaf)
	if err != nil {
		return Peer{}, nil, err
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok || key.Curve != elliptic.P256():
		return Peer{}, nil, errors.New("checking a certificate: its key is not ECDSA P-256")
	case peer.Centre != id.Centre:
		return Peer{}, nil, fmt.Errorf("checking a certificate: it is of centre %q, not of %q", peer.Centre, id.Centre)
	case peer.Demo && !id.Demo:
		return Peer{}, nil, errors.New("checking a certificate: it is of a demonstration")
	}
	return peer, key, nil
}

func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > MaxChain {
		return nil, fmt.Errorf("checking a certificate: there are %d, from 1 to %d are allowed", len(chain), MaxChain)
	}
	var certs []*x509.Certificate
	for _, der := range chain {
		if len(der) > MaxCertificate {
			return nil, errors.New("checking a certificate: it is too long")
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("checking a certificate: %w", err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}
