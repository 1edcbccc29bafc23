package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestG24_StoreSalvage: of a store without its log the command says what there is, and changes
// nothing until it is told to accept the loss; then the store opens, and check says so loudly.
func TestG24_StoreSalvage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustSeed(t, dir, "acme")
	if out, err := runs(t, "store", "salvage", "--data", dir); err != nil || !strings.HasSuffix(out, "nothing of the log is lost\n") {
		t.Errorf("a sound store: %v, %q", err, out)
	}
	if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	if _, err := runs(t, "check", "--data", dir); err == nil || !strings.Contains(err.Error(), "carillon store salvage") {
		t.Errorf("check of a store without its log: %v", err)
	}
	out, err := runs(t, "store", "salvage", "--data", dir)
	if err != nil || !strings.Contains(out, "volume-000.db: LOST: ") || !strings.Contains(out, "nothing was changed; ") {
		t.Errorf("without its log: %v, %q", err, out)
	}
	if _, err := runs(t, "check", "--data", dir); err == nil {
		t.Error("the salvage has changed something")
	}
	out, err = runs(t, "store", "salvage", "--data", dir, "--accept-loss")
	if err != nil || !strings.Contains(out, "THE LOSS WAS ACCEPTED") {
		t.Errorf("accepted: %v, %q", err, out)
	}
	out, err = runs(t, "check", "--data", dir)
	if err != nil || !strings.HasPrefix(out, "ok, apps: 1\n") || !strings.Contains(out, "DATA WAS LOST: volume-000.db: ") {
		t.Errorf("check after it: %v, %q", err, out)
	}
	for _, want := range []string{"losses acknowledged: ", "losses acknowledged: 0;"} {
		if out, err := runs(t, "store", "acknowledge", "--data", dir); err != nil || !strings.HasPrefix(out, want) {
			t.Errorf("acknowledge: %v, %q, want %q", err, out, want)
		}
	}
	out, err = runs(t, "check", "--data", dir)
	if err != nil || !strings.Contains(out, "DATA WAS LOST: volume-000.db: acknowledged") {
		t.Errorf("check after that: %v, %q", err, out)
	}
	if _, err := runs(t, "store", "salvage", "--data", t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no data directory") {
		t.Errorf("no store: %v", err)
	}
}
