package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// kioskLines and centralLines are the calls for one record, one a line, as they should be.
func kioskLines() []string {
	const partial, record = "/run/kiosk/outbox/ABCDEFGHIJKLMNOPQRSTUVWXYZ.partial", "/run/kiosk/outbox/" + someID
	lines := wrote(partial)
	lines = append(append(lines, wrote(record+".docket.json.sig")...), wrote(record+".docket.json")...)
	lines = append(lines, `fsync(4</run/kiosk/outbox>) = 0`,
		`renameat(AT_FDCWD</>, "`+partial+`", AT_FDCWD</>, "`+record+`.age") = 0`,
		`fsync(4</run/kiosk/outbox>) = 0`,
		`openat(AT_FDCWD</>, "`+record+`.age", O_RDONLY|O_CLOEXEC) = 5<`+record+`.age>`)
	lines = append(append(lines, wrote(record+".receipt.json.sig")...), wrote(record+".receipt.json")...)
	return append(lines, `fsync(4</run/kiosk/outbox>) = 0`, `fsync(6</run/kiosk/journal.db-wal>) = 0`,
		`unlinkat(AT_FDCWD</>, "`+record+`.age", 0) = 0`, `fsync(4</run/kiosk/outbox>) = 0`)
}

func centralLines() []string {
	const upload, record = "/run/central/uploads/ab6a7bbdbd3c9edf-" + someID, "/run/central/records/" + someID
	named := func(suffix string) string {
		return `renameat(AT_FDCWD</>, "` + record + suffix + `.tmp", AT_FDCWD</>, "` + record + suffix + `") = 0`
	}
	lines := append(wrote(upload), append(wrote(record+".docket.json.sig.tmp"), wrote(record+".docket.json.tmp")...)...)
	lines = append(lines, named(".docket.json.sig"), named(".docket.json"),
		`renameat(AT_FDCWD</>, "`+upload+`", AT_FDCWD</>, "`+record+`.age") = 0`,
		`fsync(4</run/central/records>) = 0`)
	lines = append(append(lines, wrote(record+".receipt.json.sig.tmp")...), named(".receipt.json.sig"))
	lines = append(append(lines, wrote(record+".receipt.json.tmp")...), named(".receipt.json"))
	return append(lines, `write(8<TCP:[127.0.0.1:1->127.0.0.1:2]>, "`+strings.Repeat("x", 604)+`", 604) = 604`)
}

// wrote gives the calls that write a file and sync it.
func wrote(path string) []string {
	return []string{
		`openat(AT_FDCWD</>, "` + path + `", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 5<` + path + `>`,
		`write(5<` + path + `>, "sealed", 6) = 6`,
		`fsync(5<` + path + `>) = 0`,
	}
}

func orderOf(t *testing.T, kioskd, central []string) error {
	t.Helper()
	var programs []*program
	for i, lines := range [][]string{kioskd, central} {
		w := &written{root: "/run", opened: map[use]*tally{}}
		p := w.program((&demoCmd{}).traced()[2*i])
		text := stamped(append([]string{`execve("/bin/x", ["x"], 0x1) = 0`}, lines...)...)
		if err := readTrace(strings.NewReader(text), p.take); err != nil || len(w.findings) > 0 {
			t.Fatal(err, w.findings)
		}
		programs = append(programs, p)
	}
	var out bytes.Buffer
	err := durable(&out, programs[0], "kiosk", programs[1], []string{someID})
	if err == nil && strings.Count(out.String(), "\n") != 22 {
		t.Errorf("it prints\n%s", &out)
	}
	return err
}

func TestTheOrderThatKeepsRecordsPasses(t *testing.T) {
	if err := orderOf(t, kioskLines(), centralLines()); err != nil {
		t.Error(err)
	}
}

// without leaves out the n-th line, from 0, that holds text.
func without(lines []string, n int, text string) []string {
	i := nth(lines, n, text)
	return slices.Delete(slices.Clone(lines), i, i+1)
}

func nth(lines []string, n int, text string) int {
	for i, line := range lines {
		if strings.Contains(line, text) {
			if n == 0 {
				return i
			}
			n--
		}
	}
	panic("no line holds " + text)
}

// moved puts the first line that holds text before the n-th that holds other.
func moved(lines []string, text string, n int, other string) []string {
	line := lines[nth(lines, 0, text)]
	rest := without(lines, 0, text)
	return slices.Insert(rest, nth(rest, n, other), line)
}

func TestEveryStepThatIsMissingOrLateIsSeen(t *testing.T) {
	k, c := kioskLines(), centralLines()
	for name, lines := range map[string][2][]string{
		"the sealed file is not synced":          {without(k, 0, "fsync(5</run/kiosk/outbox/ABC"), c},
		"it is synced after its rename":          {moved(k, "renameat", 0, "fsync"), c},
		"the docket is not synced":               {without(k, 0, "fsync(5</run/kiosk/outbox/"+someID+".docket.json>"), c},
		"its signature is not synced":            {without(k, 0, "fsync(5</run/kiosk/outbox/"+someID+".docket.json.sig>"), c},
		"the folder is not synced before rename": {without(k, 0, "fsync(4</run/kiosk/outbox>"), c},
		"nor after it":                           {moved(k, "O_RDONLY", 1, "fsync(4</run/kiosk/outbox>"), c},
		"the file is written after its sync":     {moved(k, "fsync(5</run/kiosk/outbox/ABC", 0, "write(5</run/kiosk/outbox/ABC"), c},
		"the receipt is not synced":              {without(k, 0, "fsync(5</run/kiosk/outbox/"+someID+".receipt.json>"), c},
		"the journal is not synced":              {without(k, 0, "fsync(6"), c},
		"it is synced after the purge":           {moved(k, "unlinkat", 0, "fsync(6"), c},
		"the upload is not synced":               {k, without(c, 0, "fsync(5</run/central/uploads")},
		"the upload is renamed first":            {k, moved(c, `"/run/central/uploads/ab6a7bbdbd3c9edf-`+someID+`", AT_FDCWD`, 0, "fsync(5</run/central/uploads")},
		"the central docket is not synced":       {k, without(c, 0, "fsync(5</run/central/records/"+someID+".docket.json.tmp")},
		"the central folder is not synced":       {k, without(c, 0, "fsync(4</run/central/records>")},
		"it is synced after the receipt":         {k, moved(c, "write(5</run/central/records/"+someID+".receipt.json.sig", 0, "fsync(4</run/central/records>")},
		"the receipt is sent before that":        {k, moved(c, "TCP", 0, "fsync(4</run/central/records>")},
		"the receipt is not sent":                {k, without(c, 0, "TCP")},
	} {
		if err := orderOf(t, lines[0], lines[1]); err == nil {
			t.Errorf("%s, and nobody sees it", name)
		}
	}
}

func TestASyncThatStillRunsCountsForNothing(t *testing.T) {
	k := kioskLines()
	i := nth(k, 0, "fsync(5</run/kiosk/outbox/ABC")
	k[i] = strings.TrimSuffix(k[i], ") = 0") + " <unfinished ...>"
	rename := nth(k, 0, "renameat")
	for n := i + 1; n <= rename; n++ {
		k[n] = "8     1795470484.500000 " + k[n]
	}
	k = slices.Insert(k, rename+1, "7     1795470484.500000 <... fsync resumed>) = 0")
	if err := orderOf(t, k, centralLines()); err == nil || !strings.Contains(err.Error(), "before it is synced") {
		t.Errorf("it gives %v", err)
	}
}
