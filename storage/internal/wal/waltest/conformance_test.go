package waltest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// TestG1_MemoryLogConforms: the log in memory is one.
func TestG1_MemoryLogConforms(t *testing.T) {
	waltest.Conformance(t, func(*testing.T) waltest.Bench {
		m := waltest.NewMemory()
		m.Max = 1 << 20
		return m
	})
}

// TestMemoryTakesItsTime: a call takes Delay of virtual time, and Fault decides how an
// append ends, and may have it wait.
func TestMemoryTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := waltest.NewMemory()
		m.Delay = time.Second
		m.Fault = func(rec wal.Record) waltest.Outcome {
			switch string(rec.Data) {
			case "slow":
				time.Sleep(time.Hour)
			case "no":
				return waltest.Refused
			case "maybe":
				return waltest.Kept
			}
			return waltest.Durable
		}
		began, log := time.Now(), m.Open(t)
		c, err := log.Claim(t.Context(), 1)
		if err != nil || time.Since(began) != time.Second {
			t.Fatalf("a claim took %v: %v", time.Since(began), err)
		}
		for i, want := range []error{nil, wal.ErrRefused, wal.ErrUnknown, wal.ErrFenced} {
			rec := wal.Record{Volume: 1, Epoch: c.Epoch, Seq: c.Last + 1, Data: []byte([]string{"slow", "no", "maybe", "late"}[i])}
			err := log.Append(rec)[0]
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("append %d: %v, want %v", i, err, want)
			}
			if err == nil {
				c.Last++
			}
		}
		if took := time.Since(began); took != time.Hour+5*time.Second {
			t.Errorf("all took %v", took)
		}
		if c, err = log.Claim(t.Context(), 1); err != nil || c.Last != 4 {
			t.Errorf("the claim behind what was kept: %+v, %v", c, err)
		}
	})
}
