package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestNoTranscriptIsWrittenOfWhatIsSpokenIntoAHeadset(t *testing.T) {
	for args, ok := range map[string]bool{
		"--headset": true, "--transcript t": true, "--headset --transcript t": false, "run --transcript t --headset": false,
	} {
		k, err := kong.New(new(cli), kong.Vars{"version": ""})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Parse(strings.Fields(args)); (err == nil) != ok {
			t.Errorf("%s: %v", args, err)
		}
	}
}
