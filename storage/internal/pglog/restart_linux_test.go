package pglog_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// TestG1_ServerThatEndsAtOnce: when PostgreSQL ends in the midst of appends and is started again,
// what was acknowledged is there once and in order, what was refused is not, and the log goes on.
func TestG1_ServerThatEndsAtOnce(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	const volumes, before, after = 4, 40, 10
	var acks atomic.Int64
	var back atomic.Bool // the server
	busy := make(chan struct{})
	type told struct{ acked, refused []string }
	var volume [volumes]told
	var all sync.WaitGroup
	for v := range wal.Volume(volumes) {
		all.Go(func() {
			is := &volume[v]
			c, err := log.Claim(t.Context(), v)
			for n, late := 0, 0; late < after; n++ {
				for err != nil {
					c, err = log.Claim(t.Context(), v)
				}
				data := fmt.Sprint(n)
				switch answer := log.Append(record(c, c.Last+1, data))[0]; {
				case answer == nil:
					c.Last++
					is.acked = append(is.acked, data)
					if acks.Add(1) == before {
						close(busy)
					}
					if back.Load() {
						late++
					}
				case errors.Is(answer, wal.ErrUnknown):
					err = answer
				default:
					is.refused = append(is.refused, data)
					if errors.Is(answer, wal.ErrFenced) {
						err = answer
					}
				}
			}
		})
	}
	<-busy
	postgres.Restart(t)
	back.Store(true)
	all.Wait()
	for v, is := range volume {
		places := map[string]int{}
		for i, data := range texts(t, log, wal.Volume(v), 1) {
			if _, twice := places[data]; twice && data != "" {
				t.Errorf("volume %d: %q is there twice", v, data)
			}
			places[data] = i
		}
		last := -1
		for _, data := range is.acked {
			if at, ok := places[data]; !ok || at <= last {
				t.Errorf("volume %d: %q was acknowledged, and is at %d behind %d: %t", v, data, at, last, ok)
			} else {
				last = at
			}
		}
		for _, data := range is.refused {
			if _, ok := places[data]; ok {
				t.Errorf("volume %d: %q was refused and is there", v, data)
			}
		}
	}
}
