package kiosk

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"loket/kiosk/biometric/face"
)

// Config is a station's configuration: a YAML file, overridden by LOKET_KIOSKD_ variables of the same names in capitals.
type Config struct {
	Data          string   `koanf:"data"`        // folder for outbox and journal
	Socket        string   `koanf:"socket"`      // UNIX socket for screen and technicians
	Certificate   string   `koanf:"certificate"` // PEM; names station, centre and role
	Key           string   `koanf:"key"`
	Authority     string   `koanf:"authority"`
	Queue         string   `koanf:"queue"`          // https URL of queued
	Central       string   `koanf:"central"`        // https URL of the central service
	CentralKeys   []string `koanf:"central_keys"`   // PEM public keys that sign receipts
	Recipients    string   `koanf:"recipients"`     // age recipients, one a line
	Policy        string   `koanf:"policy"`         // policy id
	Buses         []string `koanf:"buses"`          // "kernel", "usbip:127.0.0.1:3240"
	Devices       []string `koanf:"devices"`        // kinds without which no session starts
	CodeReaders   []string `koanf:"code_readers"`   // "13ba:0018", "13ba:0018/tab": besides those of known makers
	SignaturePads []string `koanf:"signature_pads"` // "056a:00a8": pens of the HID class
	Screens       []int64  `koanf:"screen_uids"`    // user ids of screens
	Technicians   []int64  `koanf:"technician_uids"`
	Metrics       string   `koanf:"metrics"`       // loopback address; empty for none
	Quality       string   `koanf:"quality_model"` // model of finger quality; empty for our own estimate
	Cascades      string   `koanf:"cascades"`      // folder of OpenCV's cascades, with which faces are found
	MinimumFree   int64    `koanf:"minimum_free"`  // bytes on Data's file system below which no session starts
	DayStart      string   `koanf:"day_start"`     // "07:30", local time: light and background are judged from then on; "off" for never

	DeviceTest DeviceTest `koanf:"device_test"` // under the policy device-test alone
}

// DeviceTest is what recorded devices need and no applicant's capture may have.
type DeviceTest struct {
	Seed     uint32 `koanf:"seed"`     // fixes the seed of a reader that scrambles its images
	Document uint32 `koanf:"document"` // handle of the object that a camera hands out instead of a photograph
}

// deviceTest is the policy that [DeviceTest] belongs to.
const deviceTest = "device-test"

// defaults holds for what the file leaves out.
func defaults() Config {
	return Config{
		Data:        "/var/lib/loket",
		Socket:      "/run/loket/kioskd.sock",
		Policy:      "nl-residence-permit",
		Buses:       []string{"kernel"},
		Devices:     []string{"camera", "fingerprint-scanner"},
		Cascades:    face.Cascades,
		MinimumFree: 64 << 20,
		DayStart:    "07:30",
	}
}

// LoadConfig reads the file and the environment. Every mistake is named with the key that it is in.
func LoadConfig(path string) (Config, error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return Config{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	if err := k.Load(env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: fromEnv}), nil); err != nil {
		return Config{}, fmt.Errorf("reading %s variables: %w", envPrefix, err)
	}
	c := defaults()
	if err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{Tag: "koanf"}); err != nil {
		return Config{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	if err := c.check(k.Keys()); err != nil {
		return Config{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	return c, nil
}

func fromEnv(name, value string) (string, any) {
	return strings.ToLower(strings.TrimPrefix(name, envPrefix)), value
}

const envPrefix = "LOKET_KIOSKD_"

// keys lists what a configuration may hold: the tags of [Config].
func keys() []string { return tags(reflect.TypeFor[Config](), "") }

func tags(t reflect.Type, under string) []string {
	var list []string
	for i := range t.NumField() {
		f := t.Field(i)
		key := under + f.Tag.Get("koanf")
		if f.Type.Kind() == reflect.Struct {
			list = append(list, tags(f.Type, key+".")...)
			continue
		}
		list = append(list, key)
	}
	return list
}

func known(key string) bool { return slices.Contains(keys(), key) }

func (c Config) check(given []string) error {
	for _, key := range given {
		if !known(key) {
			return fmt.Errorf("%s is no key of it (hint: the keys are %s)", key, strings.Join(keys(), ", "))
		}
	}
	if c.DeviceTest != (DeviceTest{}) && c.Policy != deviceTest {
		return fmt.Errorf("device_test is for the policy %s alone (hint: take it out; nobody is captured with it)", deviceTest)
	}
	for key, path := range map[string]string{"certificate": c.Certificate, "key": c.Key, "authority": c.Authority, "recipients": c.Recipients} {
		if path == "" {
			return fmt.Errorf("%s is missing (hint: name a PEM file; recipients are age keys, one a line)", key)
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if _, err := os.Stat(c.Quality); c.Quality != "" && err != nil {
		return fmt.Errorf("quality_model: %w", err)
	}
	for key, address := range map[string]string{"queue": c.Queue, "central": c.Central} {
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%s is %q, which is no https address", key, address)
		}
	}
	if len(c.CentralKeys) == 0 {
		return errors.New("central_keys is empty (hint: receipts are verified against these keys; the central service hands them out)")
	}
	for key, uids := range map[string][]int64{"screen_uids": c.Screens, "technician_uids": c.Technicians} {
		if slices.ContainsFunc(uids, func(uid int64) bool { return uid < 0 || uid > math.MaxUint32 }) {
			return fmt.Errorf("%s: a user id is no user id", key)
		}
	}
	if c.Metrics != "" && !loopback(c.Metrics) {
		return fmt.Errorf("metrics: %q is no loopback address (hint: 127.0.0.1:PORT; let a collector on this machine pass them on)", c.Metrics)
	}
	if _, err := parseDayStart(c.DayStart); err != nil {
		return fmt.Errorf("day_start: %w", err)
	}
	for _, bus := range c.Buses {
		if name, _, _ := strings.Cut(bus, ":"); name != "kernel" && name != "usbip" {
			return fmt.Errorf("buses: %q is neither kernel nor usbip:ADDRESS", bus)
		}
	}
	return nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// simulated reports whether the station may open a bus on which nothing is real.
func (c Config) simulated() bool {
	return slices.ContainsFunc(c.Buses, func(bus string) bool { return bus != "kernel" })
}
