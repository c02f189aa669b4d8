package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// step is one call that matters for what survives a power cut.
type step struct {
	op           string // write, sync, rename, open, delete, send
	path         string
	to           string // of a rename
	bytes        int
	began, ended int // lines of the trace
	at           float64
}

// note keeps a step of the program.
func (p *program) note(op string, c call, path string, bytes int) *step {
	p.steps = append(p.steps, step{op: op, path: path, bytes: bytes, began: c.began, ended: c.ended, at: c.at})
	return &p.steps[len(p.steps)-1]
}

// receiptSize is less than the shortest answer that holds a signed receipt, and more than any other answer to an upload.
const receiptSize = 400

// course is the steps of one program for one record, looked through in order.
type course struct {
	program *program
	root    string
	station string // folder of the station that seals
	shown   []shown
	errs    []error
}

type shown struct {
	step
	what string
}

func (c *course) path(parts ...string) string {
	return filepath.Join(append([]string{c.root}, parts...)...)
}

func (c *course) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: "+format, append([]any{c.program.name}, args...)...))
}

// after gives the first step of the kind that began when line was past, and shows it. One that does not exist is an error.
func (c *course) after(line int, what string, is func(step) bool) step {
	i := slices.IndexFunc(c.program.steps, func(s step) bool { return s.began > line && is(s) })
	if i < 0 {
		c.fail("there is no %s where it should be", what)
		return step{began: 1 << 40, ended: 1 << 40}
	}
	c.shown = append(c.shown, shown{c.program.steps[i], what})
	return c.program.steps[i]
}

// synced gives the sync that follows the last write into path.
func (c *course) synced(path string) step {
	last := 0
	for _, s := range c.program.steps {
		if s.op == "write" && s.path == path {
			last = max(last, s.ended)
		}
	}
	if last == 0 {
		c.fail("nothing is written into %s", c.rel(path))
	}
	return c.after(last, "fsync of "+c.rel(path), func(s step) bool { return s.op == "sync" && s.path == path })
}

func (c *course) rel(path string) string {
	rel, err := filepath.Rel(c.root, path)
	if err != nil {
		return path
	}
	dir, name := filepath.Split(rel)
	id, suffix, _ := strings.Cut(name, ".")
	if len(id) > 12 {
		id = id[:12] + "…"
	}
	if suffix != "" {
		suffix = "." + suffix
	}
	return dir + id + suffix
}

// renamed gives the rename to path.
func (c *course) renamed(to string) step {
	return c.after(0, "rename to "+c.rel(to), func(s step) bool { return s.op == "rename" && s.to == to })
}

// folder gives the first sync of a folder after a line.
func (c *course) folder(line int, path string) step {
	return c.after(line, "fsync of the folder "+c.rel(path), func(s step) bool { return s.op == "sync" && s.path == path })
}

// ordered makes it an error when the second step began before the first had ended.
func (c *course) ordered(first, second step, what string) {
	if second.began < first.ended {
		c.fail("%s", what)
	}
}

// put checks a record's way into the outbox: file and docket are synced, then the rename, then the folder, and only then is
// the record used.
func (c *course) put(id string) {
	outbox := c.path(c.station, "outbox")
	sealed := c.path(c.station, "outbox", id+".age")
	renamed := c.renamed(sealed)
	file := c.synced(renamed.path)
	docket := c.synced(c.path(c.station, "outbox", id+".docket.json"))
	sig := c.synced(c.path(c.station, "outbox", id+".docket.json.sig"))
	names := c.folder(max(docket.ended, sig.ended), outbox)
	c.ordered(file, renamed, "the sealed file gets its name before it is synced")
	c.ordered(names, renamed, "the sealed file gets its name before the docket's is synced")
	committed := c.folder(renamed.ended, outbox)
	used := c.after(0, "first use of "+c.rel(sealed), func(s step) bool { return s.op == "open" && s.path == sealed })
	c.ordered(committed, used, "the record is used before the folder is synced")
}

// purge checks that a record is deleted only when its receipt and the journal's row are synced.
func (c *course) purge(id string) {
	receipt := c.synced(c.path(c.station, "outbox", id+".receipt.json"))
	sig := c.synced(c.path(c.station, "outbox", id+".receipt.json.sig"))
	names := c.folder(max(receipt.ended, sig.ended), c.path(c.station, "outbox"))
	journal := c.after(names.ended, "fsync of the journal", func(s step) bool {
		return s.op == "sync" && strings.HasPrefix(s.path, c.path(c.station, "journal.db"))
	})
	sealed := c.path(c.station, "outbox", id+".age")
	deleted := c.after(0, "deletion of "+c.rel(sealed), func(s step) bool { return s.op == "delete" && s.path == sealed })
	c.ordered(journal, deleted, "the record is deleted before its receipt is kept")
}

// custody checks a record's way into the central service's store: file and docket are synced, named, and the folder synced
// before there is a receipt. The receipt itself may be lost in a power cut: it is signed again and says the same.
func (c *course) custody(id string) {
	dir := c.path("central", "records")
	renamed := c.renamed(c.path("central", "records", id+".age"))
	file := c.synced(renamed.path)
	stored := c.folder(renamed.ended, dir)
	c.ordered(file, renamed, "the sealed file gets its name before it is synced")
	for _, suffix := range []string{".docket.json", ".docket.json.sig"} {
		c.document(id+suffix, stored)
	}
	receipt := c.after(0, "writing of the receipt", func(s step) bool {
		return s.op == "write" && strings.HasPrefix(s.path, c.path("central", "records", id+".receipt.json"))
	})
	c.ordered(stored, receipt, "there is a receipt before the folder is synced")
	c.silent(renamed.path, stored)
	c.after(receipt.ended, "answer with the receipt", func(s step) bool { return s.op == "send" && s.bytes >= receiptSize })
}

// document checks that a small file is written and synced, and named before a sync of its folder.
func (c *course) document(name string, folder step) {
	path := c.path("central", "records", name)
	synced := c.synced(path + ".tmp")
	renamed := c.renamed(path)
	c.ordered(synced, renamed, c.rel(path)+" gets its name before it is synced")
	c.ordered(renamed, folder, "the folder is synced before "+c.rel(path)+" has its name")
}

// silent checks that nothing as long as a receipt is sent from the last byte of an upload until a step has ended.
func (c *course) silent(upload string, until step) {
	last := 0
	for _, s := range c.program.steps {
		if s.op == "write" && s.path == upload {
			last = max(last, s.ended)
		}
	}
	for _, s := range c.program.steps {
		if s.op == "send" && s.bytes >= receiptSize && s.began > last && s.began < until.ended {
			c.fail("%d bytes are sent to a station before the record is in custody", s.bytes)
		}
	}
}

// print prints the course of one record.
func (c *course) print(w io.Writer) {
	slices.SortStableFunc(c.shown, func(a, b shown) int { return a.began - b.began })
	for _, s := range c.shown {
		fmt.Fprintf(w, "  %-8s %9.1f ms  %s\n", c.program.name, 1000*(s.at-c.shown[0].at), s.what)
	}
}

// durable checks and prints the order of what happens to each record.
func durable(w io.Writer, kiosk *program, folder string, central *program, ids []string) error {
	var errs []error
	for _, id := range ids {
		fmt.Fprintf(w, "record %.12s…\n", id)
		put, purge, custody := &course{program: kiosk, root: kiosk.root, station: folder}, &course{program: kiosk, root: kiosk.root, station: folder}, &course{program: central, root: central.root}
		put.put(id)
		custody.custody(id)
		purge.purge(id)
		for _, c := range []*course{put, custody, purge} {
			c.print(w)
			errs = append(errs, c.errs...)
		}
	}
	return errors.Join(errs...)
}
