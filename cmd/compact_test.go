package cmd

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestStoreCompact: the command says what has become of each file, with or without the flag,
// and the store is as it was; what is no store, or is served, is said to be so.
func TestStoreCompact(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustSeed(t, dir, "acme")
	before, err := runs(t, "export", "--data", dir, "--app", "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{dir}, {"--data", dir}} {
		out, err := runs(t, append([]string{"store", "compact"}, args...)...)
		if err != nil || !regexp.MustCompile(`^(volume-00\d.db: \d+ KB, was \d+ KB\n){4}(\d+ KB smaller|no smaller: there was nothing to gain)\n$`).MatchString(out) {
			t.Errorf("%v, %q", err, out)
		}
	}
	if out, err := runs(t, "check", "--data", dir); err != nil || out != "ok, apps: 1\n" {
		t.Errorf("check: %v, %q", err, out)
	}
	if after, err := runs(t, "export", "--data", dir, "--app", "acme"); err != nil || after != before {
		t.Errorf("the app was %q, and is %q, %v", before, after, err)
	}
	if _, err := runs(t, "store", "compact", t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no data directory") {
		t.Errorf("no store: %v", err)
	}
	s := mustServe(t, t.Context(), dir)
	defer s.mustStop(t)
	if _, err := runs(t, "store", "compact", dir); err == nil || !strings.Contains(err.Error(), "is it being served already?") {
		t.Errorf("served: %v", err)
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 KB", 1: "1 KB", 1024: "1 KB", 10<<20 - 1024: "10239 KB", 10 << 20: "10 MB", 10<<20 + 1<<19: "11 MB"} {
		if got := size(bytes); got != want {
			t.Errorf("%d bytes are %s, want %s", bytes, got, want)
		}
	}
}
