package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is one line of the table of licences.
type module struct {
	Path    string
	Version string
	Dir     string
	Main    bool
}

// licences prints the tables of the modules from which the packages' programs are linked, and of what the console holds.
func licences(out io.Writer, packages []string) error {
	modules, err := linked(packages)
	if err != nil {
		return err
	}
	fmt.Fprint(out, licencesHead)
	for _, m := range modules {
		name, file, err := licenceOf(m)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", m.Path, m.Version, name, file)
	}
	return consoleLicences(out, consoleDir)
}

const licencesHead = `# Licences of what is linked in

loket itself is under the EUPL-1.2 (LICENSE). Its programs are linked from these Go modules, and from Go's standard library
(BSD-3-Clause). ` + "`make generate`" + ` writes these tables from go.mod and the licence files that the modules carry, and from what the console imports; a test fails
where they differ. Whoever hands out binaries hands out the licence files too: ` + "`make notices`" + ` collects them in build/notices/.

| module | version | licence | its file |
|---|---|---|---|
`

// linked lists the modules, other than our own, that the packages need, by path.
func linked(packages []string) ([]module, error) {
	cmd := exec.Command("go", append([]string{"list", "-tags=window,novulkan", "-deps", "-json=Module"}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // what is linked where a compiler is
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the packages: %w", err)
	}
	seen := map[string]bool{}
	var modules []module
	for d := json.NewDecoder(strings.NewReader(string(data))); ; {
		var p struct{ Module *module }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("listing the packages: %w", err)
		}
		if m := p.Module; m != nil && !m.Main && !seen[m.Path] {
			seen[m.Path] = true
			modules = append(modules, *m)
		}
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return modules, nil
}

// licenceOf names the licence of a module, by its SPDX identifier, and the file that holds it.
func licenceOf(m module) (name, file string, err error) {
	for _, file := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENSE.TXT", "LICENCE", "COPYING", "COPYING.md", "LICENSE-GO", "LICENSE-3RD-PARTY.md"} {
		text, err := os.ReadFile(filepath.Join(m.Dir, file))
		if err != nil {
			continue
		}
		if name := licenceName(string(text)); name != "" {
			return name, file, nil
		}
	}
	return "", "", fmt.Errorf("finding the licence of %s: no file in %s that we know (hint: read it, then teach .ci/house)", m.Path, m.Dir)
}

// licenceName tells licences by words that only they have, "A AND B" where a file holds more than one; "" where none fits.
func licenceName(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	var names []string
	for _, l := range []struct{ words, name string }{
		{"Apache License Version 2.0", "Apache-2.0"},
		{"Apache License, Version 2.0", "Apache-2.0"},
		{"Mozilla Public License Version 2.0", "MPL-2.0"},
		{"Mozilla Public License, version 2.0", "MPL-2.0"},
		{"GNU LESSER GENERAL PUBLIC LICENSE Version 3", "LGPL-3.0-only"},
		{"Permission to use, copy, modify, and/or distribute this software", "ISC"},
		{"Permission to use, copy, modify, and distribute this software", "ISC"},
		{"Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"},
		{"used to endorse or promote products", "BSD-3-Clause"},
		{"Redistributions in binary form must reproduce", "BSD-2-Clause"},
	} {
		if !strings.Contains(text, l.words) || slices.Contains(names, l.name) {
			continue
		}
		if l.name == "BSD-2-Clause" && slices.Contains(names, "BSD-3-Clause") {
			continue // the same words with one clause more
		}
		names = append(names, l.name)
	}
	return strings.Join(names, " AND ")
}

// noticeFile is a file name such as LICENSE.txt, SQLITE-LICENSE or NOTICE.
var noticeFile = regexp.MustCompile(`(?i)(^|-)(licen[sc]e|copying|notice|patents)([.-]|$)`)

// notices copies the licence and notice files of the modules that the packages link, and of the packages that the console holds,
// into a folder for each.
func notices(args []string) error {
	if len(args) < 2 {
		return errors.New("reading the arguments: a folder and a package are needed (hint: house notices DIR PACKAGE...)")
	}
	modules, err := linked(args[1:])
	if err != nil {
		return err
	}
	for _, m := range modules {
		if err := copyNotices(filepath.Join(args[0], m.Path), m.Dir); err != nil {
			return fmt.Errorf("copying the licence of %s: %w", m.Path, err)
		}
	}
	return consoleNotices(args[0], consoleDir)
}

// copyNotices takes subfolders too: a module may carry other people's sources, and their licences with them.
func copyNotices(to, from string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !noticeFile.MatchString(e.Name()) {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), data, 0o644)
	})
}
