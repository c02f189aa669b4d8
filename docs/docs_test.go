// Package docs_test holds the documents to what they say: the table of packages in ARCHITECTURE.md is the rule for imports,
// links lead somewhere, the table of licences is the one that go.mod gives.
package docs_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "loket/"

// pkg is what go list says of a package.
type pkg struct {
	ImportPath   string
	Name         string
	Imports      []string
	TestImports  []string
	XTestImports []string
	CgoFiles     []string
	TestGoFiles  []string
}

// cgoAllowed names the packages that may use C.
var cgoAllowed = []string{"drivers/usb/libusb", "ui/cmd/kiosk-ui"}

func TestPackagesImportOnlyWhatTheArchitectureGrants(t *testing.T) {
	granted, packages := grants(t), list(t)
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module)
		may, known := granted[name]
		if !known {
			t.Errorf("%s is not in ARCHITECTURE.md's table of packages (hint: does it belong in one that is?)", name)
			continue
		}
		for _, imported := range ours(p.Imports) {
			if !slices.Contains(may, imported) && !slices.Contains(may, "anything") {
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not grant", name, imported)
			}
		}
		delete(granted, name)
	}
	for name := range granted {
		t.Errorf("ARCHITECTURE.md's table names %s, which does not exist", name)
	}
}

func TestNobodyImportsAProgram(t *testing.T) {
	packages := list(t)
	var programs []string
	for _, p := range packages {
		if p.Name == "main" {
			programs = append(programs, strings.TrimPrefix(p.ImportPath, module))
		}
	}
	if len(programs) == 0 {
		t.Fatal("go list shows no program: this test looks in the wrong place")
	}
	for _, p := range packages {
		for _, imported := range ours(slices.Concat(p.Imports, p.TestImports, p.XTestImports)) {
			if slices.Contains(programs, imported) && module+imported != p.ImportPath {
				t.Errorf("%s imports the program %s", p.ImportPath, imported)
			}
		}
	}
}

func TestOnlyTwoPackagesMayUseC(t *testing.T) {
	for _, p := range list(t) {
		if len(p.CgoFiles) > 0 && !slices.Contains(cgoAllowed, strings.TrimPrefix(p.ImportPath, module)) {
			t.Errorf("%s uses cgo in %v", p.ImportPath, p.CgoFiles)
		}
	}
}

func TestTopLevelHoldsOnlyWhatTheArchitectureNames(t *testing.T) {
	_, after, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "At the top level stand")
	sentence, _, _ := strings.Cut(after, "hidden files")
	allowed := quoted(sentence)
	if !slices.Contains(allowed, "go.mod") {
		t.Fatalf("ARCHITECTURE.md's list of the top level was not found: %q", allowed)
	}
	for _, file := range tracked(t) {
		top, _, _ := strings.Cut(file, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s: nothing else may stand at the top level", file)
		}
	}
}

// link is [words](target) in Markdown.
var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for _, file := range tracked(t) {
		if filepath.Ext(file) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			target := filepath.Join("..", filepath.Dir(file), m[1])
			if _, err := os.Stat(target); err != nil && !strings.Contains(m[1], "://") {
				t.Errorf("%s links to %s, which does not exist", file, m[1])
			}
		}
	}
}

func TestEveryTargetOfTheMakefileIsExplained(t *testing.T) {
	text := read(t, "Makefile")
	targets := regexp.MustCompile(`(?m)^\.PHONY: (\S+)$`).FindAllStringSubmatch(text, -1)
	if len(targets) < 10 {
		t.Fatalf("only %d targets found", len(targets))
	}
	for _, m := range targets {
		if m[1] != "go" && m[1] != "house" && !regexp.MustCompile(`(?m)^`+m[1]+`:.*## .`).MatchString(text) {
			t.Errorf("make help says nothing of %s", m[1])
		}
	}
}

func TestTableOfLicencesIsUpToDate(t *testing.T) {
	want := run(t, "go", "run", "./.ci/house", "licences", "./...", "filippo.io/age/cmd/age", "filippo.io/age/cmd/age-keygen")
	if got := read(t, "docs/licences.md"); got != string(want) {
		t.Error("docs/licences.md is not what go.mod and the console give (hint: make generate)")
	}
}

// grants reads ARCHITECTURE.md's table: for each package what it may import of ours, without the module's name.
func grants(t *testing.T) map[string][]string {
	t.Helper()
	_, after, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "| package | what it is | may import of ours |\n|---|---|---|\n")
	table, _, _ := strings.Cut(after, "\n\n")
	granted := map[string][]string{}
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		if len(cells) != 5 {
			t.Fatalf("ARCHITECTURE.md's table of packages has a row that was not read: %q", row)
		}
		name := quoted(cells[1])
		if len(name) != 1 || granted[name[0]] != nil {
			t.Fatalf("ARCHITECTURE.md's table of packages names none, several or one twice: %q", row)
		}
		switch may := strings.TrimSpace(cells[3]); may {
		case "nothing", "anything":
			granted[name[0]] = []string{may}
		default:
			granted[name[0]] = quoted(may)
		}
	}
	return granted
}

// quoted lists what stands between backticks.
func quoted(text string) []string {
	var words []string
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			words = append(words, part)
		}
	}
	return words
}

// ours lists the imports that are of this module, without its name.
func ours(imports []string) []string {
	var own []string
	for _, i := range imports {
		if name, ok := strings.CutPrefix(i, module); ok {
			own = append(own, name)
		}
	}
	return own
}

// list asks go list about every package, broken ones too, with cgo switched on so that no file is hidden.
func list(t *testing.T) []pkg {
	t.Helper()
	t.Setenv("CGO_ENABLED", "1")
	var packages []pkg
	for d := json.NewDecoder(bytes.NewReader(run(t, "go", "list", "-e", "-json", "./..."))); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// tracked lists the files that git knows.
func tracked(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat("../.git"); err != nil {
		t.Skip("no git repository: which files belong to the tree is not known")
	}
	return strings.Split(strings.TrimSpace(string(run(t, "git", "ls-files"))), "\n")
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// run runs a command at the top of the tree and returns what it prints.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}
