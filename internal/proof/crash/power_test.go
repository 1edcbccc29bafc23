package crash_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"carillon/internal/proof"
	"carillon/storage/storagetest"
)

// cutPoint is a moment of a record that is taken for the last one.
type cutPoint struct {
	event int // after this many
	mercy mercy
}

// doubtfulEvents is for how many events after a sync that failed, or after the
// death of a process, the files may hold what is not on the disk.
const doubtfulEvents = 20

// cutPoints are n moments in the order of the record. Most of them are the worst:
// when something has just been said that must be true ever after, when a sync has
// failed or a process died, so that the files hold what may not be durable, and when both the
// log and a volume file have writes that are not synced.
func (r *powerRecord) cutPoints(n int) (cuts []cutPoint) {
	events := r.events
	var said, doubtful, both []int
	unsynced := map[bool]map[string]bool{true: {}, false: {}} // of the log or not, by path
	for i, e := range events {
		switch inLog := filepath.Base(filepath.Dir(e.path)) == "log"; {
		case e.name == "pwrite64" && strings.HasPrefix(e.path, r.dir):
			unsynced[inLog][e.path] = true
		case e.name == "fdatasync" && e.ended && e.ret >= 0, e.name == "fsync" && e.ended && e.ret >= 0:
			delete(unsynced[inLog], e.path)
		}
		if len(unsynced[true]) > 0 && len(unsynced[false]) > 0 {
			both = append(both, i+1)
		}
		if e.name == "write" && !e.ended {
			said = append(said, i+1)
		}
		if (e.name == "fdatasync" && e.ended && e.ret < 0) || slices.Contains(r.lives, i) {
			for next := i + 1; next < min(i+doubtfulEvents, len(events)); next++ {
				doubtful = append(doubtful, next)
			}
		}
	}
	for i := range n {
		cut := cutPoint{event: 1 + rand.IntN(len(events)), mercy: mercies[i%len(mercies)]}
		for of, worst := range [][]int{said, doubtful, both} {
			if i%16/4 == of && len(worst) > 0 {
				cut.event = worst[rand.IntN(len(worst))]
			}
		}
		cuts = append(cuts, cut)
	}
	slices.SortFunc(cuts, func(a, b cutPoint) int { return a.event - b.event })
	return cuts
}

// moments are all those after which a process that is killed leaves another state
// behind, or has said something more.
func (r *powerRecord) moments() (all []cutPoint) {
	for i, e := range r.events {
		switch e.name {
		case "fsync", "fdatasync":
			continue
		case "write":
			if e.ended {
				continue
			}
		default:
			if !strings.HasPrefix(e.path, filepath.Dir(r.dir)) {
				continue
			}
		}
		all = append(all, cutPoint{event: i + 1, mercy: keepAll})
	}
	return all
}

// powerRecord is what a worker has done to the disk, and said.
type powerRecord struct {
	fault
	dir    string
	deaths int // before the power was cut
	events []diskEvent
	lives  []int // at which of them a life began, the first one aside
}

// record has a worker live, to which d is done, and writes down what it does.
func (b *breaker) record(d fault) (r *powerRecord) {
	b.t.Helper()
	logs := b.t.TempDir()
	log := func(life int) string { return filepath.Join(logs, strconv.Itoa(life)) }
	for life := range d.options {
		d.options[life] = append(d.options[life], recordOptions(log(life))...) // the last one says what is traced
	}
	w, err := b.do(b.t.Context(), d)
	if err != nil {
		b.t.Fatal(err)
	}
	r = &powerRecord{fault: d, dir: w.dir, deaths: w.deaths}
	for life := range d.options {
		events, err := readRecord(log(life))
		if err != nil {
			b.t.Fatal(err)
		}
		if life > 0 {
			r.lives = append(r.lives, len(r.events))
		}
		r.events = append(r.events, events...)
	}
	if !slices.ContainsFunc(r.events, func(e diskEvent) bool { return e.name == "pwrite64" && e.ended }) {
		b.t.Fatalf("%s: the record of %d events is of no write", d.what, len(r.events))
	}
	if err := errors.Join(os.RemoveAll(logs), os.RemoveAll(filepath.Dir(w.dir))); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// cut verifies what is left if the worker, or the power, had come no farther than
// to each of the cuts, which are in the order of the record.
func (r *powerRecord) cut(t *testing.T, tally *proof.Tally, how string, cuts []cutPoint) {
	t.Helper()
	disk := newPlatter(filepath.Dir(r.dir))
	var out []byte
	passed := 0
	for _, cut := range cuts {
		for ; passed < cut.event; passed++ {
			e := r.events[passed]
			disk.event(e)
			if e.name == "write" && !e.ended {
				out = append(out, e.data...)
			}
		}
		journal, err := parseTrace(out)
		if err != nil {
			t.Fatal(err)
		}
		remains{
			what:    fmt.Sprintf("%s, %s after event %d of %d, %s kept", r.what, how, cut.event, len(r.events), cut.mercy),
			journal: journal, deaths: r.deaths + 1, bad: r.bad,
			place: func(dir string) error { return disk.cut(r.dir, dir, cut.mercy) },
		}.verify(t, tally)
	}
}

// A power cut at any moment, from the making of the store on: whatever part of
// what was not synced has come to the disk, of the log and of the volume files, all that
// anybody was told is there. The log's segments are small, so that what is torn often lies
// over batches of an earlier use.
// A sync may have failed before that, and taken with it what it was to save.
func TestG1_PowerLoss(t *testing.T) {
	tally := proof.NewTally(t, "power loss")
	b := newBreaker(t)
	began := time.Now()
	for i := 0; i < proof.Pick(1, 3, 3) || time.Since(began) < proof.For(0, 12*time.Second, time.Hour); i++ {
		d := fault{what: "unharmed", options: [][]string{nil}}
		switch i % 4 {
		case 0:
			// A slow disk: what is being synced is there to be seen for long.
			d = fault{what: "slow", options: [][]string{storagetest.Fail("fdatasync", "delay_enter=10000", storagetest.IdleCalls+1, true)}}
		case 1:
			d = failing(storagetest.Whole, "fdatasync", "error=EIO", storagetest.IdleCalls+1+rand.IntN(60))[0]
		case 2:
			// It is killed while it makes the store, and the next one goes on from there.
			call := []string{"fdatasync", "fsync", "pwrite64"}[rand.IntN(3)]
			d = killed(storagetest.Whole, call, 1+rand.IntN(10))
			d.options = append(d.options, nil)
		case 3:
			// It is killed in the middle of a commit, and the next one goes on from there.
			d = killed(storagetest.Whole, "fdatasync", storagetest.IdleCalls+1+rand.IntN(60))
			d.options = append(d.options, nil)
		}
		r := b.record(d)
		r.cut(t, tally, "no power", r.cutPoints(proof.Pick(8, 72, 96)))
	}
}
