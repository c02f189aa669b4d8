package journal

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
)

func TestEveryConnectionHasThePragmas(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var held []*sql.Conn
	for i := range readers + 1 {
		db := j.read
		if i == readers {
			db = j.write
		}
		c, err := db.Conn(context.Background()) // held, so that the next is another
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10000"} {
			var got string
			if err := c.QueryRowContext(context.Background(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("connection %d: %s is %s, %v", i, pragma, got, err)
			}
		}
	}
	for _, c := range held {
		_ = c.Close()
	}
}
