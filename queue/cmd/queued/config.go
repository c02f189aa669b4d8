package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"loket/queue"
)

// config is what queued is told: a YAML file, overridden by LOKET_QUEUED_ variables of the same names in capitals.
type config struct {
	Listen      string          `koanf:"listen"`      // for stations and systems that know appointments
	Browsers    string          `koanf:"browsers"`    // for the console; empty for none
	Database    string          `koanf:"database"`    // the queue's file
	Certificate string          `koanf:"certificate"` // PEM; names service, centre and role queue
	Key         string          `koanf:"key"`
	Authority   string          `koanf:"authority"`
	BrowserCert string          `koanf:"browsers_certificate"` // PEM, that browsers trust; empty for the queue's own
	BrowserKey  string          `koanf:"browsers_key"`
	Metrics     string          `koanf:"metrics"`    // loopback address; empty for none
	Timezone    string          `koanf:"timezone"`   // where a day begins, for ticket numbers
	CallEarly   time.Duration   `koanf:"call_early"` // before an appointment
	Services    []queue.Service `koanf:"services"`
}

// defaults holds for what the file leaves out.
func defaults() config {
	return config{
		Listen:    "127.0.0.1:8443",
		Database:  "/var/lib/loket/queue.db",
		Timezone:  "Europe/Amsterdam",
		CallEarly: 30 * time.Minute,
	}
}

// keys are those that the file may have; services stands in the file alone.
var keys = []string{"listen", "database", "certificate", "key", "authority", "metrics", "timezone", "call_early", "services",
	"browsers", "browsers_certificate", "browsers_key"}

// load reads the file and the environment. Every mistake is named with the key that it is in.
func load(path string) (config, error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return config{}, fmt.Errorf("reading the configuration: %w (hint: begin with queue/cmd/queued/queued.example.yaml)", err)
		}
		return config{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	for _, key := range k.Keys() {
		if !slices.Contains(keys, key) {
			return config{}, fmt.Errorf("reading the configuration %s: %q is no key (hint: the keys are %s)", path, key, strings.Join(keys, ", "))
		}
	}
	if err := k.Load(env.Provider(".", env.Opt{Prefix: "LOKET_QUEUED_", TransformFunc: fromEnv}), nil); err != nil {
		return config{}, fmt.Errorf("reading LOKET_QUEUED_ variables: %w", err)
	}
	c := defaults()
	if err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{Tag: "koanf"}); err != nil {
		return config{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	if err := c.check(); err != nil {
		return config{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	return c, nil
}

// fromEnv gives the key of a variable. What is no key, or has more than one value, is left out.
func fromEnv(name, value string) (string, any) {
	key := strings.ToLower(strings.TrimPrefix(name, "LOKET_QUEUED_"))
	if key == "services" || !slices.Contains(keys, key) {
		return "", nil
	}
	return key, value
}

func (c config) check() error {
	for key, value := range map[string]string{"listen": c.Listen, "database": c.Database, "certificate": c.Certificate, "key": c.Key, "authority": c.Authority} {
		if value == "" {
			return fmt.Errorf("%s is missing (hint: queued.example.yaml says what it is)", key)
		}
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen: %w (hint: HOST:PORT)", err)
	}
	if _, _, err := net.SplitHostPort(c.Browsers); c.Browsers != "" && err != nil {
		return fmt.Errorf("browsers: %w (hint: HOST:PORT)", err)
	}
	if (c.BrowserCert == "") != (c.BrowserKey == "") {
		return errors.New("browsers_certificate and browsers_key go together")
	}
	if c.Metrics != "" && !loopback(c.Metrics) {
		return fmt.Errorf("metrics: %q is no loopback address (hint: 127.0.0.1:PORT)", c.Metrics)
	}
	if _, err := time.LoadLocation(c.Timezone); err != nil {
		return fmt.Errorf("timezone: %w", err)
	}
	if c.CallEarly < 0 {
		return errors.New("call_early is negative")
	}
	return c.checkServices()
}

func (c config) checkServices() error {
	ids, prefixes := map[string]bool{}, map[string]bool{}
	for _, s := range c.Services {
		if err := s.Check(); err != nil {
			return fmt.Errorf("services: %w", err)
		}
		if ids[s.ID] || prefixes[s.Prefix] {
			return fmt.Errorf("services: %q has the id or the prefix of another", s.ID)
		}
		ids[s.ID], prefixes[s.Prefix] = true, true
	}
	return nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
