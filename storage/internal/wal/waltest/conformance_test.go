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
		m.Max, m.Count = 1<<20, 4096
		return m
	})
}

// memoryBench is waltest's.
type memoryBench struct{ *waltest.Memory }

func (b memoryBench) Node(testing.TB) wal.Shared         { return b.Memory.Node() }
func (b memoryBench) Pass(_ testing.TB, d time.Duration) { b.Memory.Pass(d) }
func (b memoryBench) Restart(testing.TB)                 { b.Memory.Restart() }
func (b memoryBench) Lose(_ testing.TB, v wal.Volume)    { b.Memory.Lose(v, 1) }

// TestG43_MemoryLogIsShared: the log in memory is one that several nodes reach.
func TestG43_MemoryLogIsShared(t *testing.T) {
	waltest.SharedConformance(t, func(*testing.T) waltest.SharedBench {
		m := waltest.NewMemory()
		m.Count = 4
		return memoryBench{m}
	})
}

// TestNodeIsCutOff: a node that is cut off reaches nothing, loses nothing, and is retired by
// others once it has not beaten for its TTL of virtual time.
func TestNodeIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := waltest.NewMemory()
		a, b := m.Node(), m.Node()
		for i, n := range []*waltest.Node{a, b} {
			if err := n.Join(t.Context(), wal.Node{Name: []string{"a", "b"}[i], TTL: time.Second}); err != nil {
				t.Fatal(err)
			}
		}
		c, err := a.Claim(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		rec := wal.Record{Volume: 1, Epoch: c.Epoch, Seq: 2, Data: []byte("x")}
		a.Cut(true)
		_, claim := a.Claim(t.Context(), 1)
		for what, err := range map[string]error{"append": a.Append(rec)[0], "beat": a.Beat(t.Context()), "claim": claim, "trim": a.Trim(c, 1)} {
			if !errors.Is(err, wal.ErrRefused) || errors.Is(err, wal.ErrFenced) {
				t.Errorf("%s: %v", what, err)
			}
		}
		a.Cut(false)
		if err := a.Append(rec)[0]; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second - 1)
		if _, err := b.Claim(t.Context(), 1); !errors.Is(err, wal.ErrOwned) {
			t.Errorf("before the TTL has passed: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := b.Claim(t.Context(), 1); err != nil {
			t.Errorf("once it has passed: %v", err)
		}
		if err := a.Beat(t.Context()); !errors.Is(err, wal.ErrRetired) {
			t.Errorf("a late beat: %v", err)
		}
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
