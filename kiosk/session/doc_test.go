package session

//go:generate go test -run TestTheDocumentIsDrawnFromTheTable -update .

import (
	"flag"
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	document  = "../../docs/session.md"
	drawing   = "../../docs/session.svg"
	beginMark = "<!-- begin: drawn from the table by go generate ./kiosk/session -->\n"
	endMark   = "<!-- end -->\n"
)

func TestTheDocumentIsDrawnFromTheTable(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), beginMark)
	_, after, closed := strings.Cut(rest, endMark)
	if !ok || !closed {
		t.Fatalf("%s has lost its marks", document)
	}
	fresh(t, document, before+beginMark+mermaid()+"\n"+table()+endMark+after)
	fresh(t, drawing, svg())
}

// fresh compares a file with what it should be, or writes it.
func fresh(t *testing.T, file, want string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is stale: %v (hint: go generate ./kiosk/session)", file, err)
	}
}

// targets of a rule, ends included.
func (r Rule) targets() []string {
	var all []string
	for _, to := range r.To {
		all = append(all, string(to))
	}
	if r.Ends != "" {
		all = append(all, string(r.Ends))
	}
	return all
}

func mermaid() string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    state \"no-show\" as no_show\n    state \"handed-over\" as handed_over\n    [*] --> called\n    [*] --> confirming\n    [*] --> assistance: accepted bundle\n    [*] --> verifying: accepted bundle\n")
	labels, order := map[[2]string][]string{}, [][2]string{}
	for _, r := range Table() {
		for _, to := range r.targets() {
			arrow := [2]string{string(r.From), to}
			if labels[arrow] == nil {
				order = append(order, arrow)
			}
			labels[arrow] = append(labels[arrow], string(r.On))
		}
	}
	for _, a := range order {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", a[0], strings.ReplaceAll(a[1], "-", "_"), strings.Join(labels[a], ", "))
	}
	for _, e := range ends() {
		fmt.Fprintf(&b, "    %s --> [*]\n", strings.ReplaceAll(string(e), "-", "_"))
	}
	return b.String() + "```\n"
}

func table() string {
	var b strings.Builder
	b.WriteString("| state | event | who may send it | leads to |\n|---|---|---|---|\n")
	for _, r := range Table() {
		var who []string
		for _, a := range r.By {
			who = append(who, string(a))
		}
		to := strings.Join(r.targets(), ", ")
		if r.Ends != "" {
			to = "**" + to + "**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.From, r.On, strings.Join(who, ", "), to)
	}
	return b.String()
}

// svg draws the machine as lanes: a column for each state and end, a row for each rule, an arrow to each place it leads to.
func svg() string {
	var columns []string
	for _, s := range states() {
		if s != Ended {
			columns = append(columns, string(s))
		}
	}
	for _, e := range ends() {
		columns = append(columns, string(e))
	}
	const left, top, wide, high = 130, 60, 92, 24
	x := func(name string) int { return left + slices.Index(columns, name)*wide + wide/2 }
	rules := Table()
	width, height := left+len(columns)*wide+20, top+len(rules)*high+20
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img" aria-label="States, events and ends of a capture session">`, width, height)
	p(`<rect width="%d" height="%d" fill="#fff"/>`, width, height)
	p(`<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#154273"/></marker></defs>`)
	for i, c := range columns {
		fill, ink, rx := "#154273", "#fff", 4
		if i >= len(states())-1 {
			fill, ink, rx = "#fff", "#154273", 14
		}
		p(`<line x1="%d" y1="46" x2="%d" y2="%d" stroke="#ccd5e0"/>`, x(c), x(c), height-10)
		p(`<rect x="%d" y="16" width="%d" height="28" rx="%d" fill="%s" stroke="#154273"/>`, x(c)-wide/2+3, wide-6, rx, fill)
		p(`<text x="%d" y="34" text-anchor="middle" fill="%s">%s</text>`, x(c), ink, html.EscapeString(c))
	}
	for i, r := range rules {
		y := top + i*high + high/2
		if i > 0 && rules[i-1].From != r.From {
			p(`<line x1="0" y1="%d" x2="%d" y2="%d" stroke="#154273" stroke-dasharray="2 4"/>`, y-high/2, width, y-high/2)
		}
		p(`<text x="%d" y="%d" text-anchor="end" fill="#000">%s</text>`, left-12, y+4, html.EscapeString(string(r.On)))
		from := x(string(r.From))
		for _, to := range r.targets() {
			if x(to) == from {
				p(`<path d="M%d %d q20 -10 20 0 t-16 4" fill="none" stroke="#154273" marker-end="url(#a)"/>`, from, y-4)
				continue
			}
			p(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#154273" marker-end="url(#a)"/>`, from, y, x(to), y)
		}
		p(`<circle cx="%d" cy="%d" r="4" fill="#154273"/>`, from, y)
	}
	p(`</svg>`)
	return b.String()
}
