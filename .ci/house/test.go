package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// event is one line of go test -json (see go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output
	Test        string
	Elapsed     float64 // s
	Output      string
	FailedBuild string
	Key, Value  string // of attr
}

// fixturesAttr is the attribute (testing.T.Attr) by which a test says that it reads $LOKET_FIXTURES.
const fixturesAttr = "fixtures"

// outcome is what became of one test, or of a package where Test is empty.
type outcome struct {
	result   string // pass, fail or skip
	output   []string
	parent   bool // has subtests: those are counted instead
	childBad bool // a subtest failed
	fixtures bool
}

// summary collects the events of a run.
type summary struct {
	out     io.Writer
	tests   map[[2]string]*outcome // by package and test
	order   [][2]string
	builds  map[string][]string // output of failed builds by import path
	passed  int
	failed  int
	skipped int
}

// test runs go test -json with args. It reports whether everything passed.
func test(out io.Writer, args []string) (bool, error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return false, fmt.Errorf("running go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("running go test: %w", err)
	}
	s := &summary{out: out, tests: map[[2]string]*outcome{}, builds: map[string][]string{}}
	if err := s.read(pipe); err != nil {
		return false, err
	}
	if cmd.Wait() != nil && s.failed == 0 {
		s.failed++ // go test itself found fault: bad flags, no such package
	}
	s.close()
	return s.failed == 0, nil
}

// read takes in events; a line that is no event is passed on as it is.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if line != "" && json.Unmarshal([]byte(line), &e) == nil {
			s.add(e)
		} else if line != "" {
			fmt.Fprint(s.out, line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading go test: %w", err)
		}
	}
}

func (s *summary) at(pkg, test string) *outcome {
	key := [2]string{pkg, test}
	if s.tests[key] == nil {
		s.tests[key] = &outcome{}
		s.order = append(s.order, key)
	}
	return s.tests[key]
}

func (s *summary) add(e event) {
	switch e.Action {
	case "build-output":
		s.builds[e.ImportPath] = append(s.builds[e.ImportPath], e.Output)
	case "output":
		o := s.at(e.Package, e.Test)
		o.output = append(o.output, e.Output)
	case "attr":
		o := s.at(e.Package, e.Test)
		o.fixtures = o.fixtures || e.Key == fixturesAttr
	case "pass", "fail", "skip":
		if o := s.at(e.Package, e.Test); o.result != "fail" { // with -count a failure stays one
			o.result = e.Action
		}
		if e.Test == "" {
			s.endPackage(e)
		}
	case "run":
		s.at(e.Package, e.Test)
	}
}

// endPackage counts the tests of a package and prints its line, with the output of what failed.
func (s *summary) endPackage(e event) {
	var passed, failed, skipped int
	bad := slices.Clone(s.builds[e.FailedBuild])
	for _, key := range s.order {
		if key[0] != e.Package || key[1] == "" {
			continue
		}
		o := s.tests[key]
		if parent, ok := s.tests[[2]string{key[0], parentOf(key[1])}]; ok && parentOf(key[1]) != "" {
			parent.parent = true
			parent.childBad = parent.childBad || o.result != "pass" && o.result != "skip"
		}
	}
	for _, key := range s.order {
		o := s.tests[key]
		switch {
		case key[0] != e.Package || key[1] == "":
		case o.parent && (o.result == "pass" || o.childBad):
			if o.result != "pass" {
				bad = append(bad, o.output...)
			}
		case o.result == "pass":
			passed++
		case o.result == "skip":
			skipped++
		default: // failed, or running still when the process died
			failed++
			bad = append(bad, o.output...)
		}
	}
	if e.Action == "fail" && failed == 0 {
		failed++ // it did not build, or ended outside any test
	}
	if e.Action == "fail" {
		bad = append(bad, s.tests[[2]string{e.Package, ""}].output...)
	}
	s.passed, s.failed, s.skipped = s.passed+passed, s.failed+failed, s.skipped+skipped
	if passed+failed+skipped == 0 {
		return // no tests
	}
	fmt.Fprintf(s.out, "%-4s  %-34s %4d passed %3d failed %3d skipped %7.1f s\n", strings.ToUpper(e.Action), e.Package, passed, failed,
		skipped, e.Elapsed)
	for _, line := range bad {
		fmt.Fprint(s.out, "      ", line)
	}
}

// close prints what was skipped and the counts; the last line is the plain result.
func (s *summary) close() {
	ran, lacking := 0, 0
	var skips []string
	for _, key := range s.order {
		o := s.tests[key]
		switch {
		case key[1] != "" && o.result == "skip":
			why := reason(o.output)
			skips = append(skips, fmt.Sprintf("  %s %s: %s", key[0], key[1], why))
			if o.fixtures || strings.Contains(why, "LOKET_FIXTURES") {
				lacking++
			}
		case o.fixtures:
			ran++
		}
	}
	if len(skips) > 0 {
		fmt.Fprintf(s.out, "\nskipped, and why:\n%s\n", strings.Join(skips, "\n"))
	}
	fmt.Fprintf(s.out, "\ntests on fixtures: %d ran, %d lacked them (LOKET_FIXTURES=%s)\n", ran, lacking, os.Getenv("LOKET_FIXTURES"))
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}

func parentOf(test string) string {
	i := strings.LastIndexByte(test, '/')
	return test[:max(i, 0)]
}

// reason finds what a skipped test said: the lines between its start and its result.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}
