package record_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"loket/kiosk/record"
)

func TestTheCommandsOfTheSpecificationWork(t *testing.T) {
	for _, tool := range []string{"sh", "tar", "openssl", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here: the commands of docs/record.md were not run (hint: apt-get install %s)", tool, tool)
		}
	}
	text, err := os.ReadFile("../../docs/record.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "```sh\n")
	commands, _, _ := strings.Cut(after, "```")
	if !ok || strings.Count(commands, "openssl") != 3 {
		t.Fatalf("the commands were not found: %q", commands)
	}
	dir := t.TempDir()
	docket, err := record.SignedDocket{JSON: vector(t, "docket.json")}.Docket()
	if err != nil {
		t.Fatal(err)
	}
	id := string(docket.Record)
	for _, name := range []string{"service.age", "station.pub", "receipts.pub"} {
		write(t, dir, name, vector(t, name))
	}
	for from, to := range map[string]string{"record.age": ".age", "docket.json": ".docket.json", "docket.json.sig": ".docket.json.sig",
		"receipt.json": ".receipt.json", "receipt.json.sig": ".receipt.json.sig"} {
		write(t, dir, id+to, vector(t, from))
	}
	run(t, ".", "go", "build", "-o", filepath.Join(dir, "bin", "age"), "filippo.io/age/cmd/age")
	out := string(run(t, dir, "env", "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "R="+id, "sh", "-euc", commands))
	if strings.Count(out, "Verified OK") != 3 || !strings.Contains(out, id+"  "+id+".age") || !strings.Contains(out, "\nmanifest.json\nmanifest.sig\nface.jpg\n") {
		t.Errorf("the commands say:\n%s", out)
	}
}
