package storage

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestG24_QueueInTurns puts change sets of any weight into a queue and takes batches
// at any time, and demands of them what the lanes are for: an app's order is kept
// (S2), a batch is bounded, a light change set is not passed by two heavy batches,
// nor a heavy one by two light batches but for those of its own app.
func TestG24_QueueInTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		apps := make([]*App, 4)
		for i := range apps {
			apps[i] = &App{id: AppID(fmt.Sprint("app", i))}
		}
		q := queue{wake: make(chan struct{}, 1)}
		type entry struct {
			lane   lane
			passed int // batches of the heavy lane, or of the others, since it was put in
		}
		waiting := map[*changeSet]*entry{}
		last := map[*App]uint64{}
		take := func() {
			batch := q.take()
			if len(batch) == 0 {
				if len(waiting) > 0 {
					t.Fatalf("nothing is taken, and %d wait", len(waiting))
				}
				return
			}
			batchOf := map[*App]bool{}
			heavy, weight := waiting[batch[0]].lane == heavyLane, 0
			for _, cs := range batch {
				if e := waiting[cs]; (e.lane == heavyLane) != heavy {
					t.Fatal("a batch is of the heavy lane and of others")
				}
				batchOf[cs.app] = true
				if cs.n != last[cs.app]+1 {
					t.Fatalf("%s: number %d follows %d", cs.app.id, cs.n, last[cs.app])
				}
				last[cs.app] = cs.n
				weight += cs.weight
				delete(waiting, cs)
			}
			if weight > batchWeight && len(batch) > 1 || len(batch) > maxBatch || len(batchOf) > batchApps {
				t.Fatalf("a batch of %d weighs %d", len(batch), weight)
			}
			for cs, e := range waiting {
				if (e.lane == heavyLane) == heavy {
					continue
				}
				e.passed++
				// A light one may stand behind more of its lane than one batch takes; a heavy
				// one may have to wait for light ones of its app.
				if !heavy {
					continue
				}
				if ahead := weightAhead(&q, cs); e.passed > 2+2*ahead/batchWeight {
					t.Fatalf("a light change set of %s was passed by %d heavy batches", cs.app.id, e.passed)
				}
			}
		}
		puts := map[*App]uint64{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "take") == 0 {
				take()
				continue
			}
			app := rapid.SampledFrom(apps).Draw(t, "app")
			weight := rapid.SampledFrom([]int{0, 1000, heavyWeight - 1, heavyWeight, batchWeight, 3 * batchWeight}).Draw(t, "weight")
			puts[app]++
			cs := &changeSet{app: app, n: puts[app], weight: weight, awaited: rapid.Bool().Draw(t, "awaited")}
			l := app.waits.lane(cs)
			if !q.put(cs) {
				t.Fatal("the queue is closed")
			}
			waiting[cs] = &entry{lane: l}
		}
		for len(waiting) > 0 {
			take()
		}
		for _, app := range apps {
			if app.waits.in != [laneCount]int{} || app.waits.asked != 0 || last[app] != puts[app] {
				t.Fatalf("%s: %+v, taken up to %d of %d", app.id, app.waits, last[app], puts[app])
			}
		}
		if q.asked != 0 {
			t.Fatalf("callers wait for %d in an empty queue", q.asked)
		}
	})
}

// weightAhead is what stands before a change set in its lane, and all that is awaited.
func weightAhead(q *queue, cs *changeSet) (weight int) {
	for l := range heavyLane {
		for _, other := range q.lanes[l] {
			if other == cs {
				break
			}
			weight += other.weight
		}
	}
	return weight
}
