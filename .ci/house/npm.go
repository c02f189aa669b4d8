package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// consoleDir is where the console's sources lie, from the top of the tree.
const consoleDir = "ui/console"

// locked is what package-lock.json says of a package.
type locked struct {
	Version      string            `json:"version"`
	Licence      string            `json:"license"`
	Dependencies map[string]string `json:"dependencies"`
}

// bundled is a package whose code or styles the built console holds, with those that it is made of.
type bundled struct {
	Name string
	locked
	Parts []bundled // all that it depends on, by name
}

// imported is a bare name in an import of TypeScript or CSS: what vite takes from node_modules.
var imported = regexp.MustCompile(`(?m)(?:\bfrom\s+|^\s*@?import\s+)["']([^"'./][^"']*)["']`)

// console lists the packages that the console's sources import, by name. What only builds or tests it is not among them.
func console(dir string) ([]bundled, error) {
	data, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return nil, fmt.Errorf("reading what the console is made of: %w", err)
	}
	var lock struct{ Packages map[string]locked }
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, fmt.Errorf("reading what the console is made of: %w", err)
	}
	names, err := imports(filepath.Join(dir, "src"))
	if err != nil {
		return nil, fmt.Errorf("reading what the console imports: %w", err)
	}
	var list []bundled
	for _, name := range names {
		p, ok := lock.Packages["node_modules/"+name]
		if !ok || p.Licence == "" {
			return nil, fmt.Errorf("finding the licence of %s: package-lock.json has none (hint: npm install it in %s)", name, dir)
		}
		list = append(list, bundled{name, p, parts(lock.Packages, name, map[string]bool{name: true})})
	}
	return list, nil
}

// parts lists all that a package depends on and that is not seen yet.
func parts(all map[string]locked, name string, seen map[string]bool) []bundled {
	var list []bundled
	for child := range all["node_modules/"+name].Dependencies {
		if seen[child] {
			continue
		}
		seen[child] = true
		list = append(list, bundled{Name: child, locked: all["node_modules/"+child]})
		list = append(list, parts(all, child, seen)...)
	}
	slices.SortFunc(list, func(a, b bundled) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// imports lists the packages that the sources in a folder import, in order.
func imports(src string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(src, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range imported.FindAllStringSubmatch(string(text), -1) {
			words := strings.SplitN(m[1], "/", 3)
			name := words[0]
			if strings.HasPrefix(name, "@") && len(words) > 1 {
				name += "/" + words[1]
			}
			names = append(names, name)
		}
		return err
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

const consoleHead = `
The console that ` + "`make console`" + ` builds into queued holds these packages of npm, as ui/console/package-lock.json has them:

| package | version | licence |
|---|---|---|
`

// consoleLicences prints the table of what the built console holds. The parts of a package have a line for each licence.
func consoleLicences(out io.Writer, dir string) error {
	list, err := console(dir)
	if err != nil {
		return err
	}
	fmt.Fprint(out, consoleHead)
	for _, p := range list {
		fmt.Fprintf(out, "| %s | %s | %s |\n", p.Name, p.Version, p.Licence)
		count := map[string]int{}
		var order []string
		for _, part := range p.Parts {
			if count[part.Licence]++; count[part.Licence] == 1 {
				order = append(order, part.Licence)
			}
		}
		for _, licence := range order {
			fmt.Fprintf(out, "| the %d packages that it is made of | | %s |\n", count[licence], licence)
		}
	}
	return nil
}

// consoleNotices copies the licence files of what the built console holds. Where the packages are not here, the console was not
// built either, and there is nothing to go along with it.
func consoleNotices(to, dir string) error {
	list, err := console(dir)
	if err != nil {
		return err
	}
	for _, p := range list {
		for _, q := range append(p.Parts, p) {
			from := filepath.Join(dir, "node_modules", q.Name)
			if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintf(os.Stderr, "no notices of the console: %s is not here (hint: make console)\n", q.Name)
				return nil
			}
			if err := copyNotices(filepath.Join(to, "npm", q.Name), from); err != nil {
				return fmt.Errorf("copying the licence of %s: %w", q.Name, err)
			}
		}
	}
	return nil
}
