package session

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite generated documents")
	flag.Parse()
	os.Exit(m.Run())
}
