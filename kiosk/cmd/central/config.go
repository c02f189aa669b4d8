package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"loket/kiosk/central"
	"loket/kiosk/identity"
	"loket/kiosk/plan"
	"loket/kiosk/record"
)

// config is the service's configuration: a YAML file, overridden by LOKET_CENTRAL_ variables of the same names in capitals.
// kiosk/cmd/central/central.yaml is an example.
type config struct {
	Listen          string   `koanf:"listen"`           // "0.0.0.0:8443"
	Certificate     string   `koanf:"certificate"`      // PEM, of role central
	Key             string   `koanf:"key"`              // PEM
	Authority       string   `koanf:"authority"`        // PEM, of the stations
	ReceiptKey      string   `koanf:"receipt_key"`      // PEM, PKCS 8, ECDSA P-256
	Store           string   `koanf:"store"`            // folder
	Policies        []string `koanf:"policies"`         // "nl-residence-permit", or "ID@DIGEST" for one that is not built in
	AcceptSimulated bool     `koanf:"accept_simulated"` // demonstrations only
	MaxRecord       int64    `koanf:"max_record"`       // bytes
	Metrics         string   `koanf:"metrics"`          // loopback address; empty for none
}

const envPrefix = "LOKET_CENTRAL_"

func keys() []string {
	return []string{"listen", "certificate", "key", "authority", "receipt_key", "store", "policies", "accept_simulated", "max_record", "metrics"}
}

// loadConfig reads the file and the environment. Every mistake is named with the key that it is in.
func loadConfig(path string) (config, error) {
	fail := func(err error) (config, error) {
		return config{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return fail(fmt.Errorf("%w (hint: kiosk/cmd/central/central.yaml is an example)", err))
	}
	fromEnv := func(name, value string) (string, any) {
		key := strings.ToLower(strings.TrimPrefix(name, envPrefix))
		if !slices.Contains(keys(), key) {
			return "", nil // the variable that names the file shares the prefix
		}
		return key, value
	}
	if err := k.Load(env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: fromEnv}), nil); err != nil {
		return fail(err)
	}
	c := config{Listen: "127.0.0.1:8443", Store: "/var/lib/loket-central", MaxRecord: record.MaxRecord}
	if err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{Tag: "koanf"}); err != nil {
		return fail(err)
	}
	if err := c.check(k.Keys()); err != nil {
		return fail(err)
	}
	return c, nil
}

func (c config) check(given []string) error {
	for _, key := range given {
		if !slices.Contains(keys(), key) {
			return fmt.Errorf("%s is no key of it (hint: the keys are %s)", key, strings.Join(keys(), ", "))
		}
	}
	for _, f := range []struct{ key, path string }{
		{"certificate", c.Certificate}, {"key", c.Key}, {"authority", c.Authority}, {"receipt_key", c.ReceiptKey},
	} {
		if f.path == "" {
			return fmt.Errorf("%s is missing (hint: name a PEM file)", f.key)
		}
		if _, err := os.Stat(f.path); err != nil {
			return fmt.Errorf("%s: %w", f.key, err)
		}
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if c.MaxRecord < 1 || c.MaxRecord > record.MaxRecord {
		return fmt.Errorf("max_record is %d, it can be 1 to %d", c.MaxRecord, record.MaxRecord)
	}
	if err := loopback(c.Metrics); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	_, err := c.policies()
	return err
}

// loopback makes sure that metrics are served to this machine only.
func loopback(address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is no loopback address (hint: 127.0.0.1:PORT; let a collector on this machine pass them on)", address)
	}
	return nil
}

// policies gives the digests that are accepted, each with the id that it goes by.
func (c config) policies() (map[string]string, error) {
	if len(c.Policies) == 0 {
		return nil, errors.New("policies is empty: no record would be accepted (hint: list policy ids, or ID@DIGEST)")
	}
	accepted := map[string]string{}
	for _, entry := range c.Policies {
		id, digest, given := strings.Cut(entry, "@")
		if !given {
			p, err := plan.LoadPolicy(id)
			if err != nil {
				return nil, fmt.Errorf("policies: %w", err)
			}
			digest = p.Digest()
		}
		if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("policies: %q does not end in a SHA-256 digest", entry)
		}
		accepted[digest] = id
	}
	return accepted, nil
}

// open reads what the configuration names.
func (c config) open(log *slog.Logger) (*identity.Identity, *central.Central, error) {
	id, err := identity.Load(c.Certificate, c.Key, c.Authority)
	if err != nil {
		return nil, nil, err
	}
	if id.Role != identity.RoleCentral {
		return nil, nil, fmt.Errorf("loading the certificate: its role is %q, stations expect %q", id.Role, identity.RoleCentral)
	}
	if c.AcceptSimulated && !id.Demo {
		return nil, nil, errors.New("accept_simulated: a production service does not take simulated records (hint: use a certificate of the demonstration's authority)")
	}
	key, err := loadKey(c.ReceiptKey)
	if err != nil {
		return nil, nil, err
	}
	policies, err := c.policies()
	if err != nil {
		return nil, nil, err
	}
	return id, &central.Central{Dir: c.Store, Key: key, Policies: policies, AcceptSimulated: c.AcceptSimulated, MaxRecord: c.MaxRecord, Log: log}, nil
}

// loadKey reads the key that signs receipts.
func loadKey(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("loading the receipt key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("loading the receipt key %s: it is not PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("loading the receipt key %s: %w", path, err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok || signer.Curve != elliptic.P256() {
		return nil, fmt.Errorf("loading the receipt key %s: it is not ECDSA P-256", path)
	}
	return signer, nil
}
