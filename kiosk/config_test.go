package kiosk

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// configured writes a configuration whose files exist, with extra lines.
func configured(t *testing.T, extra ...string) string {
	t.Helper()
	dir := t.TempDir()
	pem := filepath.Join(dir, "file.pem")
	if err := os.WriteFile(pem, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lines := extra
	for _, line := range []string{"certificate: " + pem, "key: " + pem, "authority: " + pem, "recipients: " + pem,
		"queue: https://q:1", "central: https://c:1", "central_keys: [" + pem + "]"} {
		key, _, _ := strings.Cut(line, " ")
		if !slices.ContainsFunc(extra, func(e string) bool { return strings.HasPrefix(e, key) }) {
			lines = append(lines, line)
		}
	}
	path := filepath.Join(dir, "kioskd.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAConfigurationHasSensibleDefaults(t *testing.T) {
	c, err := LoadConfig(configured(t))
	if err != nil {
		t.Fatal(err)
	}
	if c.Policy != "nl-residence-permit" || len(c.Devices) != 2 || c.simulated() {
		t.Errorf("the defaults are %+v", c)
	}
}

func TestTheEnvironmentOverridesTheFile(t *testing.T) {
	t.Setenv("LOKET_KIOSKD_POLICY", "device-test")
	t.Setenv("LOKET_FIXTURES", "/elsewhere")
	c, err := LoadConfig(configured(t, "policy: other"))
	if err != nil || c.Policy != "device-test" {
		t.Errorf("policy %q, %v", c.Policy, err)
	}
}

func TestTheStartOfTheDayIsATimeOrOff(t *testing.T) {
	for line, want := range map[string]dayClock{"minimum_free: 1": {7, 30, true}, "day_start: 06:15": {6, 15, true}, "day_start: '8:00'": {8, 0, true},
		"day_start: off": {}, "day_start: ''": {}} {
		c, err := LoadConfig(configured(t, line))
		if err != nil {
			t.Errorf("%q: %v", line, err)
		} else if got, _ := parseDayStart(c.DayStart); got != want {
			t.Errorf("%q gives %+v", line, got)
		}
	}
}

func TestEveryMistakeInAConfigurationNamesItsKey(t *testing.T) {
	for extra, want := range map[string]string{
		"polcy: x":                 "polcy is no key",
		"queue: http://plain":      "queue is",
		"buses: [bluetooth]":       "buses:",
		"central_keys: []":         "central_keys is empty",
		"certificate: /none":       "certificate:",
		"quality_model: /none":     "quality_model:",
		"minimum_free: a lot":      "minimum_free",
		"metrics: 0.0.0.0:9100":    "metrics:",
		"screen_uids: [-1]":        "screen_uids",
		"buses: ['usbip:1', 'x:']": "buses:",
		"device_test: {seed: 1}":   "device_test is for the policy",
		"day_start: 25:00":         "day_start:",
		"day_start: early":         "day_start:",
		"device_test: {sed: 1}":    "device_test.sed is no key",
	} {
		if _, err := LoadConfig(configured(t, extra)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v", extra, err)
		}
	}
}
