package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// goal is one row of the table of goals.
type goal struct {
	benchmark string // without "Benchmark" and the number of processors
	unit      string // as go test -bench prints it
	least     bool   // measured must be at least, not at most, value
	value     float64
	what      string
}

// goalRow is a Markdown row: | `Seal` | `xref` | >= 0.95 | sealing against ... |
var goalRow = regexp.MustCompile("^\\| *`([^`]+)` *\\| *`([^`]+)` *\\| *(>=|<=) *([0-9.]+) *\\| *(.+?) *\\|$")

// readGoals reads the rows of a Markdown file that are goals and passes over everything else.
func readGoals(r io.Reader) ([]goal, error) {
	var goals []goal
	for s := bufio.NewScanner(r); s.Scan(); {
		m := goalRow.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		value, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			return nil, fmt.Errorf("reading the goal of %s: %w", m[1], err)
		}
		goals = append(goals, goal{benchmark: m[1], unit: m[2], least: m[3] == ">=", value: value, what: m[5]})
	}
	if len(goals) == 0 {
		return nil, fmt.Errorf("reading the goals: the file holds none")
	}
	return goals, nil
}

// verdict says whether the measured value meets the goal, and by how much it does not.
func (g goal) verdict(measured float64) string {
	miss := g.value - measured
	if !g.least {
		miss = -miss
	}
	if miss <= 0 {
		return "met"
	}
	return fmt.Sprintf("missed by %.0f %%", 100*miss/g.value)
}

func (g goal) String() string {
	if g.least {
		return fmt.Sprintf(">= %g %s", g.value, g.unit)
	}
	return fmt.Sprintf("<= %g %s", g.value, g.unit)
}

// metrics are the values of each benchmark and unit, one for each time that it ran.
type metrics map[[2]string][]float64

var processors = regexp.MustCompile(`-[0-9]+$`)

// add takes in one line "BenchmarkName-2  100  12.5 ns/op  0.97 xref" and reports whether it was one.
func (m metrics) add(line string) bool {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return false
	}
	name := processors.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
	for i := 2; i+1 < len(fields); i += 2 {
		if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
			key := [2]string{name, fields[i+1]}
			m[key] = append(m[key], v)
		}
	}
	return true
}

// bench prints one row for each goal, with the median of what was measured, then what was measured without a goal. It
// reports whether the benchmarks ran; a goal that is missed is shown and is no failure.
func bench(out io.Writer, in io.Reader, args []string) (bool, error) {
	if len(args) != 1 {
		return false, fmt.Errorf("reading the arguments: the file of goals is missing (hint: house bench docs/performance.md)")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return false, fmt.Errorf("reading the goals: %w", err)
	}
	defer file.Close()
	goals, err := readGoals(file)
	if err != nil {
		return false, err
	}
	m, ok := metrics{}, true
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := lines.Text()
		if !m.add(line) && (strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "--- FAIL")) {
			ok = false
			fmt.Fprintln(out, line)
		}
	}
	writeTable(out, goals, m)
	return ok, nil
}

func writeTable(out io.Writer, goals []goal, m metrics) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tgoal\tmeasured\t")
	for _, g := range goals {
		key := [2]string{g.benchmark, g.unit}
		if len(m[key]) == 0 {
			fmt.Fprintf(w, "%s\t%v\t-\tnot measured\n", g.what, g)
			continue
		}
		v := median(m[key])
		fmt.Fprintf(w, "%s\t%v\t%.3g\t%s\n", g.what, g, v, g.verdict(v))
		delete(m, key)
	}
	w.Flush()
	var rest []string
	for key, values := range m {
		if !slices.Contains([]string{"ns/op", "B/op", "allocs/op"}, key[1]) {
			rest = append(rest, fmt.Sprintf("%s\t%.4g %s", key[0], median(values), key[1]))
		}
	}
	if len(rest) == 0 {
		return
	}
	slices.Sort(rest)
	fmt.Fprintf(w, "\nalso measured\t\n%s\n", strings.Join(rest, "\n"))
	w.Flush()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
