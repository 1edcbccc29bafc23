package isolation_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// soakGauge is something of which an engine must not take ever more.
type soakGauge struct {
	name string
	read func(s *soak) int
	// The median of the last third of the readings may be this much above that of
	// the first third, in parts of it and besides. (Files grow by 16 MiB at a time.)
	ratio float64
	slack int
}

var soakGauges = []soakGauge{
	{"goroutines", func(*soak) int { return runtime.NumGoroutine() }, 0.25, 30},
	{"bytes of heap", func(*soak) int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}, 0.25, 4 << 20},
	{"bytes of files", (*soak).fileSize, 0.25, 16 << 20},
	{"open files", func(*soak) int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return 0 // this is no Linux
		}
		return len(entries)
	}, 0, 8},
}

// fileSize is the size of all files of the engine.
func (s *soak) fileSize() (total int) {
	err := filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += int(info.Size())
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
	return total
}

// sample reads the gauges until ctx ends. The first quarter is the warm-up; of
// the rest the last third must not be above the first.
func (s *soak) sample(ctx context.Context, every time.Duration) {
	pace := time.NewTicker(every)
	defer pace.Stop()
	readings := make([][]int, len(soakGauges))
	for ctx.Err() == nil {
		for i, g := range soakGauges {
			readings[i] = append(readings[i], g.read(s))
		}
		select {
		case <-ctx.Done():
		case <-pace.C:
		}
	}
	for i, g := range soakGauges {
		all := readings[i][len(readings[i])/4:]
		if len(all) < 3 {
			s.tally.Other("%d readings of %s are too few", len(all), g.name)
			continue
		}
		first, last := median(all[:len(all)/3]), median(all[len(all)-len(all)/3:])
		s.t.Logf("%s: %d, then %d", g.name, first, last)
		if limit := first + int(g.ratio*float64(first)) + g.slack; last > limit {
			s.tally.Leaked("%s: %d in the first third, %d in the last, want %d at most; all: %v", g.name, first, last, limit, all)
		}
	}
}

// median is the middle reading.
func median(readings []int) int {
	return slices.Sorted(slices.Values(readings))[len(readings)/2]
}
