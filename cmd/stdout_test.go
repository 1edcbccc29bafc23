package cmd

import (
	"errors"
	"io"
	"path/filepath"
	"testing"
)

// fullDisk takes the first bytes, and then no more.
type fullDisk struct{ left int }

var errFullDisk = errors.New("no space left on device")

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(d.left, len(p))
	d.left -= n
	if n < len(p) {
		return n, errFullDisk
	}
	return n, nil
}

// TestWhatCannotBePrintedIsAnError: a verb that prints to a full disk fails, whatever it
// prints and whether or not it has printed some of it.
func TestWhatCannotBePrintedIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustSeed(t, dir, "acme")
	for _, args := range [][]string{
		{"help"},
		{"version"},
		{"completion", "bash"},
		{"crons", "check"},
		{"store", "check", "--data", dir},
		{"apps", "--data", dir},
		{"apps", "list", "--data", dir},
		{"apps", "export", "--app", "acme", "--data", dir},
		{"jobs", "list", "--app", "acme", "--data", dir},
		{"jobs", "list", "--app", "acme", "--data", dir, "-o", "json"},
		{"jobs", "list", "--app", "acme", "--data", dir, "-o", "jsonl"},
		{"jobs", "schedule", "heartbeat:tick", "null", "--app", "acme", "--data", dir},
		{"tokens", "create", "ann", "--apps", "acme", "--scopes", "read", "--data", dir},
		{"tokens", "list", "--data", dir},
	} {
		var whole counted
		if err := Run(t.Context(), sampleOptions(), args, nil, &whole, io.Discard); err != nil {
			t.Errorf("carillon %v: %v", args, err)
			continue
		}
		for _, left := range []int{0, int(whole) - 1} {
			if err := Run(t.Context(), sampleOptions(), args, nil, &fullDisk{left}, io.Discard); !errors.Is(err, errFullDisk) {
				t.Errorf("carillon %v, with room for %d of %d bytes: %v", args, left, whole, err)
			}
		}
	}
}

// counted counts what is written.
type counted int

func (c *counted) Write(p []byte) (int, error) {
	*c += counted(len(p))
	return len(p), nil
}
