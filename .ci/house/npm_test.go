package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// consoleOf writes the sources and the lock of a console.
func consoleOf(t *testing.T, lock string, sources map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	sources["../package-lock.json"] = lock
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range sources {
		if err := os.WriteFile(filepath.Join(dir, "src", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const aLock = `{"packages": {"": {}, "node_modules/vite": {"version": "6.0.0", "license": "MIT"},
	"node_modules/ui": {"version": "1.2.3", "license": "MIT"},
	"node_modules/@house/style": {"version": "4.5.6", "license": "EUPL-1.2", "dependencies": {"@house/a": "1", "@house/b": "1", "@house/c": "1"}},
	"node_modules/@house/a": {"license": "EUPL-1.2", "dependencies": {"@house/b": "1"}},
	"node_modules/@house/b": {"license": "EUPL-1.2", "dependencies": {"@house/a": "1"}}, "node_modules/@house/c": {"license": "OFL-1.1"}}}`

func TestTheConsoleHoldsWhatItsSourcesImport(t *testing.T) {
	dir := consoleOf(t, aLock, map[string]string{
		"main.tsx": "import \"./style.css\";\nimport {\n  render,\n} from \"ui/dom\";\nexport type Line = \"up\" | \"down\";\nimport { own } from \"./own\";\n",
		"own.css":  "@import \"@house/style/dist/index.css\";\n"})
	var out strings.Builder
	if err := consoleLicences(&out, dir); err != nil {
		t.Fatal(err)
	}
	want := "| @house/style | 4.5.6 | EUPL-1.2 |\n| the 2 packages that it is made of | | EUPL-1.2 |\n| the 1 packages that it is made of | | OFL-1.1 |\n| ui | 1.2.3 | MIT |\n"
	if !strings.HasSuffix(out.String(), "|---|---|---|\n"+want) {
		t.Errorf("the table is\n%s", out.String())
	}
}

func TestAPackageWithoutALicenceIsNoticed(t *testing.T) {
	dir := consoleOf(t, aLock, map[string]string{"main.ts": `import "unknown";`})
	if err := consoleLicences(&strings.Builder{}, dir); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("it says %v", err)
	}
}

func TestLicenceFilesOfTheConsoleAreCopied(t *testing.T) {
	dir := consoleOf(t, aLock, map[string]string{"main.ts": `import "ui";`})
	to := t.TempDir()
	if err := consoleNotices(to, dir); err != nil { // nothing is installed
		t.Fatal(err)
	}
	at := filepath.Join(dir, "node_modules", "ui")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "LICENSE"), []byte("words"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := consoleNotices(to, dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(to, "npm", "ui", "LICENSE")); err != nil || string(text) != "words" {
		t.Errorf("%q, %v", text, err)
	}
}
