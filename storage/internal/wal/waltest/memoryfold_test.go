package waltest_test

import (
	"errors"
	"slices"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// TestMemoryFolds: a load is the rows that were folded, and the records behind them; a claim
// that is not the latest folds nothing.
func TestMemoryFolds(t *testing.T) {
	log := waltest.NewMemory().Open(t).(wal.Shared)
	c, err := log.Claim(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range []string{"one", "two"} {
		if err := log.Append(wal.Record{Volume: 3, Epoch: c.Epoch, Seq: c.Last + 1 + uint64(i), Data: []byte(data)})[0]; err != nil {
			t.Fatal(err)
		}
	}
	rows := func(yield func(wal.Row, error) bool) {
		_ = yield(wal.Row{Key: []byte("a"), Value: []byte("1")}, nil) && yield(wal.Row{Key: []byte("b"), Deleted: true}, nil)
	}
	if err := log.Fold(c, 2, rows); err != nil {
		t.Fatal(err)
	}
	if err := log.Trim(c, 2); err != nil {
		t.Fatal(err)
	}
	var got []string
	last, err := log.Load(t.Context(), 3, func() error { got = nil; return nil },
		func(key, value []byte) error { got = append(got, string(key)+"="+string(value)); return nil },
		func(rec wal.Record) error { got = append(got, string(rec.Data)); return nil })
	if want := []string{"a=1", "two"}; err != nil || last != 3 || !slices.Equal(got, want) {
		t.Errorf("it loads %q up to %d, %v; want %q up to 3", got, last, err, want)
	}
	if _, err := log.Claim(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := log.Fold(c, 3, rows); !errors.Is(err, wal.ErrFenced) {
		t.Errorf("a fold of the claim before: %v, want ErrFenced", err)
	}
}
