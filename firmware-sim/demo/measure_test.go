package main

import (
	"os"
	"testing"
	"time"
)

func TestProcessorTimeIsReadBehindAnyName(t *testing.T) {
	const rest = " S 1 2 3 4 -1 4194560 100 0 0 0 150 25 0 0 20 0 9 0 100 0 0"
	for _, name := range []string{"(kioskd)", "(a b)", "(a) R (b))"} {
		got, err := parseProcessorTime("12 " + name + rest)
		if err != nil || got != 1750*time.Millisecond {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "12 (a", "12 (a) S 1 2", "12 (a) S 1 2 3 4 5 6 7 8 9 10 x y"} {
		if _, err := parseProcessorTime(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestMemoryIsReadInBytes(t *testing.T) {
	got, err := parseResident("Name:\tkioskd\nVmHWM:\t   30000 kB\nVmRSS:\t   27000 kB\nRssAnon:\t 1 kB\n")
	if err != nil || got != 27000<<10 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "VmRSS:\t12 MB\n", "VmRSS:\tx kB\n"} {
		if _, err := parseResident(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestAProcessCanMeasureItself(t *testing.T) {
	if _, err := processorTime(os.Getpid()); err != nil {
		t.Error(err)
	}
	if n, err := residentBytes(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := processorTime(-1); err == nil {
		t.Error("a process that is not there has used time")
	}
}

func TestTheMedianIsInTheMiddle(t *testing.T) {
	if got, err := median([]time.Duration{5, 1, 9, 2, 3}); got != 3 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := median(nil); err == nil {
		t.Error("there is a median of nothing")
	}
}
