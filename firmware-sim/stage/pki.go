package stage

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"

	"loket/kiosk/identity"
)

// PKI is a certificate authority of a demonstration, in a folder of PEM files: NAME.crt and NAME.key for each holder, ca.crt
// for all of them.
type PKI struct {
	Dir    string
	Centre string
	Demo   bool // marks every certificate as a demonstration's

	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewPKI makes the authority in dir.
func NewPKI(dir, centre string, demo bool) (*PKI, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the PKI: %w", err)
	}
	p := &PKI{Dir: dir, Centre: centre, Demo: demo}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the PKI: %w", err)
	}
	p.key = key
	template := p.template(pkix.Name{CommonName: centre + " authority", Organization: []string{centre}, OrganizationalUnit: p.marks()})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	p.cert, err = p.sign("ca", template, template, key.Public())
	return p, err
}

// Issue makes a key and a certificate for name in role, with marks such as [identity.Supervised], and writes both.
func (p *PKI) Issue(name string, role identity.Role, marks ...string) (*x509.Certificate, error) {
	key, err := p.Key(name)
	if err != nil {
		return nil, err
	}
	template := p.template(pkix.Name{CommonName: name, Organization: []string{p.Centre},
		OrganizationalUnit: slices.Concat([]string{string(role)}, marks, p.marks())})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	template.DNSNames = []string{"localhost"}
	return p.sign(name, template, p.cert, key.Public())
}

// Key makes a private key and writes it to NAME.key, its public half to NAME.pub.
func (p *PKI) Key(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	if err := p.write(name+".key", "PRIVATE KEY", private); err != nil {
		return nil, err
	}
	return key, p.write(name+".pub", "PUBLIC KEY", public)
}

// Recipients makes one hybrid age key for each name, writes NAME.age and returns the recipients, one a line.
func (p *PKI) Recipients(names ...string) ([]byte, error) {
	var list bytes.Buffer
	for _, name := range names {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, fmt.Errorf("making the age key of %s: %w", name, err)
		}
		if err := os.WriteFile(p.Path(name+".age"), []byte(id.String()+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("making the age key of %s: %w", name, err)
		}
		fmt.Fprintln(&list, id.Recipient())
	}
	return list.Bytes(), nil
}

// Path gives the place of one of the authority's files.
func (p *PKI) Path(name string) string { return filepath.Join(p.Dir, name) }

// Identity loads a holder that was issued before.
func (p *PKI) Identity(name string) (*identity.Identity, error) {
	return identity.Load(p.Path(name+".crt"), p.Path(name+".key"), p.Path("ca.crt"))
}

func (p *PKI) marks() []string {
	if p.Demo {
		return []string{identity.Demo}
	}
	return nil
}

func (p *PKI) template(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 30)}
}

func (p *PKI) sign(name string, template, parent *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, p.key)
	if err != nil {
		return nil, fmt.Errorf("issuing the certificate of %s: %w", name, err)
	}
	if err := p.write(name+".crt", "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (p *PKI) write(name, kind string, der []byte) error {
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(p.Path(name), data, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
