package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/internal/proof"
	"carillon/storage/storagetest"
)

// nameCalls are the calls that change directories. They are counted only if they
// are about the worker's files, which is when the files are made.
var nameCalls = []string{"openat", "renameat", "mkdirat", "unlinkat"}

// breaker starts workers under strace, which injects the faults.
type breaker struct {
	t      *testing.T
	strace storagetest.Strace
	root   string // of the workers' directories, a new one each
	logs   logs   // nil: each worker has its log in its directory
}

// logs are those of workers that have theirs elsewhere.
type logs interface {
	run(t *testing.T, w *crashImage, cmd *exec.Cmd, at brokenAt) error // a life of the worker
	place(t *testing.T, w *crashImage, dir string) error               // the store into a directory
}

// brokenAt is the statement of a life at which something happens, from 1 on; 0: nothing does.
type brokenAt struct {
	statement int
	moment    moment
	cut       bool // the connection is, and the worker goes on; else that is killed
}

// moment is when, about a statement.
type moment int

// The moments: the server never sees the statement; or its answer is lost; or that has come.
const (
	beforeIt moment = iota
	beforeItsAnswer
	behindIt
	moments
)

func newBreaker(t *testing.T) *breaker {
	return &breaker{t: t, strace: storagetest.FindStrace(t), root: t.TempDir()}
}

// fault is what is done to a worker.
type fault struct {
	what    string
	options [][]string // of strace, one list for each life of the worker
	breaks  []brokenAt // likewise, with the log elsewhere
	env     []string
	bad     bool // the disk, or the connection, has errors, and does not just end
}

// killed is a fault by SIGKILL instead of the n-th of the call that concerns the part of the
// store.
func killed(part storagetest.Part, call string, n int) fault {
	return fault{
		what:    fmt.Sprintf("killed at %s %d of the %s", call, n, part),
		options: [][]string{append(part.Only("$DIR"), storagetest.Kill(call, n)...)},
	}
}

// parts of a store, each with disk calls of its own.
var parts = []storagetest.Part{storagetest.Log, storagetest.Files}

// crashImage is what has become of a worker's lives.
type crashImage struct {
	dir     string
	journal trace
	deaths  int
}

// remains are the crash image's, for the verifier. They can be placed once.
func (w *crashImage) remains(b *breaker, d fault) remains {
	return remains{what: d.what, journal: w.journal, deaths: w.deaths, bad: d.bad, place: func(dir string) error {
		if b.logs != nil {
			return b.logs.place(b.t, w, dir)
		}
		if err := os.Remove(dir); err != nil {
			return err
		}
		if err := os.Rename(w.dir, dir); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return os.Mkdir(dir, 0o700) // the worker did not come so far
	}}
}

// do lets a worker live its lives, in a new directory.
func (b *breaker) do(ctx context.Context, d fault) (*crashImage, error) {
	base, err := os.MkdirTemp(b.root, "")
	if err != nil {
		return nil, err
	}
	w := &crashImage{dir: filepath.Join(base, "data")}
	for life, options := range d.options {
		options = slices.Clone(options)
		for i := range options {
			options[i] = strings.ReplaceAll(options[i], "$DIR", w.dir)
		}
		died, out, err := b.life(ctx, w, d, life, options)
		if err != nil {
			return nil, fmt.Errorf("%s, life %d: %w", d.what, life+1, err)
		}
		lines, err := parseTrace(out)
		if err != nil {
			return nil, fmt.Errorf("%s, life %d: %w", d.what, life+1, err)
		}
		for i := range lines {
			lines[i].Life = life
		}
		w.journal = append(w.journal, lines...)
		if died {
			w.deaths++
		}
	}
	return w, nil
}

// life lets a worker live once, under strace if there are options for it, and
// says whether it has died of it.
func (b *breaker) life(ctx context.Context, w *crashImage, d fault, life int, options []string) (died bool, out []byte, err error) {
	from := workerBase
	if life > 0 {
		from = w.journal.end().Add(restartLate)
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestG1_Worker$")
	if options != nil {
		cmd = b.strace.Command(ctx, options, cmd.Path, cmd.Args[1:]...)
	}
	cmd.Env = append(os.Environ(), d.env...)
	cmd.Env = append(cmd.Env, workerDir+"="+w.dir, workerFrom+"="+from.Format(time.RFC3339Nano), "GORACE=atexit_sleep_ms=0")
	if d.bad {
		cmd.Env = append(cmd.Env, workerBad+"=1")
	}
	if w.journal.has(saidDoes) {
		cmd.Env = append(cmd.Env, workerHeals+"=1")
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if b.logs != nil {
		err = b.logs.run(b.t, w, cmd, d.breaks[life])
	} else {
		err = cmd.Run()
	}
	switch {
	case err == nil:
		return false, stdout.Bytes(), nil
	case storagetest.Killed(err) && ctx.Err() == nil:
		return true, stdout.Bytes(), nil
	}
	return false, nil, fmt.Errorf("%w\n%s\n%s", err, &stdout, &stderr)
}

// atOnce is how many workers live at once. They wait for the disk most of the time.
const atOnce = 4

// tryAll injects the faults and verifies what is left, until all are done or the
// time is up. It counts how the workers ended.
func (b *breaker) tryAll(tally *proof.Tally, faults []fault, budget time.Duration) map[string]int {
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	type result struct {
		fault
		*crashImage
		err error
	}
	todo, results := make(chan fault), make(chan result)
	go func() {
		defer close(todo)
		began := time.Now()
		for _, d := range faults {
			if time.Since(began) > budget || ctx.Err() != nil {
				return
			}
			todo <- d
		}
	}()
	go func() {
		defer close(results)
		done := make(chan struct{})
		for range atOnce {
			go func() {
				defer func() { done <- struct{}{} }()
				for d := range todo {
					w, err := b.do(ctx, d)
					results <- result{d, w, err}
				}
			}()
		}
		for range atOnce {
			<-done
		}
	}()
	outcomes := map[string]int{}
	for r := range results {
		if r.err != nil {
			if storagetest.Refused(r.err.Error()) {
				cancel()
				for range results {
				}
				b.t.Skipf("strace may not trace: %v", r.err)
			}
			tally.Tried(1)
			tally.Other("%v", r.err)
			continue
		}
		outcomes[r.outcome()]++
		r.remains(b, r.fault).verify(b.t, tally)
		if err := os.RemoveAll(filepath.Dir(r.dir)); err != nil {
			b.t.Error(err)
		}
	}
	return outcomes
}

// The outcomes: how far a worker came.
const (
	gaveUp      = "gave up opening"
	hadFailures = "went on after calls that failed"
	ranToItsEnd = "ran to its end"
	diedLate    = "died after an acknowledgement"
	diedEarly   = "died before the first acknowledgement"
)

// outcome says in a word how far the worker came.
func (w *crashImage) outcome() string {
	switch {
	case w.journal.has(saidQuit):
		return gaveUp
	case w.journal.has(saidFailed):
		return hadFailures
	case w.journal.has(saidEnd):
		return ranToItsEnd
	case w.journal.has(saidAcked):
		return diedLate
	}
	return diedEarly
}

// count is how many calls of each kind opening makes, and a committer at most, that
// concern each part of the store, in a life that nothing is done to.
func (b *breaker) count(tally *proof.Tally) map[storagetest.Part]storagetest.Counts {
	b.t.Helper()
	log := filepath.Join(b.root, "counted")
	b.tryAll(tally, []fault{{what: "unharmed", options: [][]string{storagetest.Count(log)}}}, time.Minute)
	all := map[storagetest.Part]storagetest.Counts{}
	for _, part := range append(parts, storagetest.Whole) {
		counts, err := storagetest.ReadCounts(log, part)
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Logf("disk calls of the %s: %+v", part, counts)
		for call, n := range counts.Committing {
			counts.Committing[call] = n + n/10 + 1 // another life may make a few more
		}
		all[part] = counts
	}
	return all
}

// workerBudget is how long workers are started for, of one method.
func workerBudget() time.Duration { return proof.For(3*time.Second, 15*time.Second, 24*time.Hour) }

// sample are want of the faults in a random order, first evenly spread; or all.
func sample(faults []fault, want int) []fault {
	if want < len(faults) {
		offset, step := rand.Float64(), float64(len(faults))/float64(want)
		few := make([]fault, want)
		for i := range few {
			few[i] = faults[int((float64(i)+offset)*step)]
		}
		faults = few
	}
	rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	return faults
}

// The process is killed at each of its disk calls, of the log and of the volume files, once
// or twice in a row: whatever was acknowledged is there, and what was scheduled takes effect
// as often as it may. Making the store, segments of its log and checkpoints are part of it.
// Then lives are recorded, and
// each of their moments is taken for their last: what a process that is killed
// has written is what its record says.
func TestG1_CrashPoints(t *testing.T) {
	tally := proof.NewTally(t, "crash points")
	b := newBreaker(t)
	counts := b.count(tally)
	var faults []fault
	for _, part := range parts {
		for _, call := range storagetest.DiskCalls {
			for i, n := range counts[part].Points(call) {
				d := killed(part, call, n)
				if i%4 == 3 {
					// Its next life is cut short as well.
					at := 1 + rand.IntN(storagetest.IdleCalls+20)
					again := killed(part, call, at)
					d.what += ", then " + again.what
					d.options = append(d.options, again.options...)
				}
				faults = append(faults, d)
			}
		}
		for _, call := range nameCalls {
			for n := range 8 {
				d := killed(part, call, n+1)
				d.options[0] = append(d.options[0], "-P", "$DIR")
				faults = append(faults, d)
			}
		}
	}
	all := len(faults)
	faults = sample(faults, proof.Pick(12, 1000, all))
	outcomes := b.tryAll(tally, faults, workerBudget()/2)
	logOutcomes(t, outcomes, all)
	if died := outcomes[diedLate] + outcomes[diedEarly]; died == 0 && outcomes[ranToItsEnd] >= 8 {
		t.Errorf("none of %d workers was killed", outcomes[ranToItsEnd])
	}
	for began := time.Now(); time.Since(began) < workerBudget()/2; {
		r := b.record(fault{what: "recorded", options: [][]string{nil}})
		moments, tried := r.moments(), 0
		passes := proof.Pick(512, 32, 32) // each of them over the whole life
		for _, first := range rand.Perm(passes) {
			if tried > 0 && time.Since(began) > workerBudget()/2 {
				break
			}
			var few []cutPoint
			for i := first; i < len(moments); i += passes {
				few = append(few, moments[i])
			}
			r.cut(t, tally, "killed", few)
			tried += len(few)
		}
		t.Logf("%4d of %d moments of a life", tried, len(moments))
	}
}

func logOutcomes(t *testing.T, outcomes map[string]int, all int) {
	t.Helper()
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%4d of %d points: %s", outcomes[outcome], all, outcome)
	}
}

// A process to which nothing is done comes to its end: what is verified of the others holds of
// it, and finds, without strace, what is wrong with a program.
func TestG1_WholeLives(t *testing.T) {
	tally := proof.NewTally(t, "whole lives")
	b := &breaker{t: t, root: t.TempDir()}
	for range proof.Pick(1, 4, 100) {
		d := fault{what: "unharmed", options: [][]string{nil}}
		w, err := b.do(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if !w.journal.has(saidEnd) {
			tally.Other("the worker has not come to its end")
		}
		w.remains(b, d).verify(t, tally)
	}
}
