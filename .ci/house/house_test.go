package main

import (
	"strings"
	"testing"
)

// summarise runs a summary over the events of one package, one line each.
func summarise(t *testing.T, events ...string) (*summary, string) {
	t.Helper()
	var out strings.Builder
	s := &summary{out: &out, tests: map[[2]string]*outcome{}, builds: map[string][]string{}}
	if err := s.read(strings.NewReader(strings.Join(events, "\n"))); err != nil {
		t.Fatal(err)
	}
	s.close()
	return s, out.String()
}

func TestSummaryCountsLeavesAndSaysWhatWasSkipped(t *testing.T) {
	_, out := summarise(t,
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"attr","Package":"p","Test":"TestA","Key":"fixtures","Value":"faces"}`,
		`{"Action":"run","Package":"p","Test":"TestA/one"}`,
		`{"Action":"pass","Package":"p","Test":"TestA/one"}`,
		`{"Action":"output","Package":"p","Test":"TestA/two","Output":"    a_test.go:9: no usbip here\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestA/two"}`,
		`{"Action":"pass","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: LOKET_FIXTURES is not set\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestB"}`,
		`{"Action":"pass","Package":"p","Elapsed":0.5}`)
	for _, want := range []string{
		"1 passed   0 failed   2 skipped",
		"p TestA/two: a_test.go:9: no usbip here\n",
		"tests on fixtures: 1 ran, 1 lacked them",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if !strings.HasSuffix(out, "\n1 passed, 0 failed, 2 skipped\n") {
		t.Errorf("the last line is not the count:\n%s", out)
	}
}

func TestSummaryShowsEveryKindOfFailure(t *testing.T) {
	for name, events := range map[string][]string{
		"a failed subtest": {
			`{"Action":"output","Package":"p","Test":"TestA/one","Output":"the words\n"}`,
			`{"Action":"fail","Package":"p","Test":"TestA/one"}`,
			`{"Action":"run","Package":"p","Test":"TestA"}`,
			`{"Action":"fail","Package":"p","Test":"TestA"}`,
			`{"Action":"fail","Package":"p"}`},
		"a process that died in a test": {
			`{"Action":"run","Package":"p","Test":"TestA"}`,
			`{"Action":"output","Package":"p","Test":"TestA","Output":"the words\n"}`,
			`{"Action":"fail","Package":"p"}`},
		"a package that does not build": {
			`{"Action":"build-output","ImportPath":"p [p.test]","Output":"the words\n"}`,
			`{"Action":"build-fail","ImportPath":"p [p.test]"}`,
			`{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`},
		"a failure outside any test": {
			`{"Action":"output","Package":"p","Output":"the words\n"}`,
			`{"Action":"fail","Package":"p"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s, out := summarise(t, events...)
			if s.failed != 1 || strings.Count(out, "the words") != 1 {
				t.Errorf("%d failed, want 1; the output once in\n%s", s.failed, out)
			}
		})
	}
}

func TestBenchSaysMetMissedAndNotMeasured(t *testing.T) {
	goals, err := readGoals(strings.NewReader("prose\n| `Seal` | `xref` | >= 0.95 | sealing |\n| `Idle` | `MB` | <= 60 | memory |\n| `Push` | `xref` | >= 0.5 | pushing |\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := metrics{}
	for _, line := range []string{"BenchmarkSeal-2 10 5 ns/op 0.90 xref", "BenchmarkSeal-2 10 5 ns/op 0.76 xref", "BenchmarkSeal-2 10 5 ns/op 0.70 xref",
		"BenchmarkIdle 1 43 MB 0.2 %core"} {
		if !m.add(line) {
			t.Errorf("not read: %s", line)
		}
	}
	var out strings.Builder
	writeTable(&out, goals, m)
	for _, want := range []string{"0.76", "missed by 20 %", "met", "not measured", "0.2 %core"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestLicenceNames(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n  Version 2.0, January 2004":                                   "Apache-2.0",
		"Permission is hereby granted, free of charge,\nto any person obtaining a copy": "MIT",
		"Redistributions in binary form must reproduce the notice.":                     "BSD-2-Clause",
		"all rights reserved": "",
		"Permission is hereby granted, free of charge, to any person obtaining a copy. Licensed under the Apache License, Version 2.0": "Apache-2.0 AND MIT",
	} {
		if got := licenceName(text); got != want {
			t.Errorf("%q is read as %q, want %q", text, got, want)
		}
	}
}
