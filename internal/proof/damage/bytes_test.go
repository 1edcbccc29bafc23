package damage_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

// bytesNow is the instant of all changes of the store of these tests.
var bytesNow = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// bytesLast is in the last batch of the log, and nowhere else.
const bytesLast = "the-last-note-of-all"

// bytesApps lie in one volume.
var bytesApps = []storage.AppID{"ada", "bob"}

func bytesOptions() storage.Options {
	return storage.Options{
		Volumes: 1, NoSync: true, LogSegment: 16 << 10,
		Tables: []storage.Schema{damageNotes}, CheckTrigger: dispatch.CheckStored,
	}
}

// bytesCommit adds a note and a job to an app.
func bytesCommit(t *testing.T, s *storage.Store, id storage.AppID, text string) {
	t.Helper()
	app, err := s.App(id)
	if err != nil {
		t.Fatal(err)
	}
	tx, done := app.Begin(bytesNow), make(chan error, 1)
	_, err = damageNotes.Insert(tx.Writer(), damageNote{text, "kind"})
	_, err2 := tx.JobWriter().InsertJob(storage.Job{ID: storage.JobID("job-" + text[:8]), Function: "a:b", Args: []byte(`{"n":1}`), Due: bytesNow.Add(time.Hour)})
	if err := errors.Join(err, err2, tx.Commit(func(err error) { done <- err })); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// bytesStore makes a store that has half of what it keeps in its file, and the other half,
// unless it is closed, in its log only. before is what it shows without its last commit.
func bytesStore(t *testing.T, dir string, clean bool) (before map[storage.AppID]string) {
	t.Helper()
	for life := range 2 {
		s, err := storage.Open(dir, bytesOptions())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			for _, id := range bytesApps {
				bytesCommit(t, s, id, fmt.Sprintf("%d-%d-%s-%s", life, i, id, strings.Repeat("x", 300)))
			}
		}
		if before, err = bytesShown(s); err != nil {
			t.Fatal(err)
		}
		if life == 1 {
			bytesCommit(t, s, bytesApps[0], bytesLast)
		}
		end := s.Close
		if life == 1 && !clean {
			end = s.Abort
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	return before
}

// bytesShown is what the store shows of its apps, of those that can be read.
func bytesShown(s *storage.Store) (shown map[storage.AppID]string, err error) {
	shown = map[storage.AppID]string{}
	_, err = s.Apps()
	for _, id := range bytesApps {
		var b strings.Builder
		app, failed := s.App(id)
		if failed == nil {
			failed = bytesRead(app, &b)
		}
		if failed == nil {
			shown[id] = b.String()
		}
		err = errors.Join(err, failed)
	}
	return shown, err
}

func bytesRead(app *storage.App, b *strings.Builder) error {
	snap, err := app.Snapshot(bytesNow)
	if err != nil {
		return err
	}
	defer snap.Close()
	for job, err := range snap.Reader().System().All(storage.JobFilter{}) {
		if err != nil {
			return err
		}
		if job.Error != nil {
			return errors.New(job.Error.Message) // its record cannot be read, and that is shown in its place
		}
		fmt.Fprintf(b, "job %s %s %s %s %v\n", job.ID, job.State, job.Function, job.Args, job.Due)
	}
	for note, err := range damageNotes.Query(snap.Reader()).All() {
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "note %+v\n", note)
	}
	return nil
}

// bytesLook opens the store to read it, checks it, and returns what it shows.
func bytesLook(dir string) (shown map[storage.AppID]string, err error) {
	opts := bytesOptions()
	opts.ReadOnly = true
	s, err := storage.Open(dir, opts)
	if err != nil {
		return nil, err
	}
	shown, err = bytesShown(s)
	return shown, errors.Join(err, s.Check(), s.Close())
}

// TestG37_DamagedBytes flips bits of a small store, in its log and in its volume file, one
// at a time, while it is down. Whatever is flipped, reading or the check says that something
// is wrong, or all is there. The very last batch of a log that was not closed is exempt:
// damaged it looks like the torn tail of a crash, and is cut off.
func TestG37_DamagedBytes(t *testing.T) {
	tally := proof.NewTally(t, "damaged bytes")
	targets := append(bytesTargets(t, true), bytesTargets(t, false)...)
	// Each pass goes over all files, with a bit of every so many.
	step := proof.Pick(3001, 997, 997)
	end := time.Now().Add(proof.For(time.Hour, time.Hour, 24*time.Hour))
	found := 0
	for _, first := range rand.Perm(step)[:proof.Pick(1, 1, step)] {
		if time.Now().After(end) {
			break
		}
		for _, target := range targets {
			for bit := first; bit < 8*len(target.data); bit += step {
				tally.Tried(1)
				if target.flip(t, tally, bit) {
					found++
				}
			}
		}
	}
	if t.Logf("%d flips were found, the others did no harm", found); found == 0 {
		tally.Other("no flip was found")
	}
}

// bytesTarget is a file of a store.
type bytesTarget struct {
	dir, name     string
	data          []byte
	last          int                      // where the last batch is, which is exempt
	whole, before map[storage.AppID]string // what it shows, and without the last commit
}

// bytesTargets makes a store and returns its files.
func bytesTargets(t *testing.T, clean bool) (targets []bytesTarget) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), fmt.Sprintf("closed-%t", clean))
	before := bytesStore(t, dir, clean)
	whole, err := bytesLook(dir)
	if err != nil || len(whole) != len(bytesApps) || !strings.Contains(whole[bytesApps[0]], bytesLast) {
		t.Fatalf("before anything is damaged it shows %v, %v", whole, err)
	}
	files, err := filepath.Glob(filepath.Join(damageLog(dir), "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range append(files, damageFile(dir, 0)) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(data, "\x00"))
		data = data[:min(len(data), (used/damagePage+1)*damagePage)]
		target := bytesTarget{dir: dir, name: name, data: data, last: len(data), whole: whole, before: before}
		if i := bytes.Index(data, []byte(bytesLast)); i >= 0 && filepath.Ext(name) == ".log" && !clean {
			target.last = i / damagePage * damagePage
		}
		targets = append(targets, target)
	}
	return targets
}

// flip flips a bit, looks at the store, and puts the bit right. It says whether it was found.
func (f *bytesTarget) flip(t *testing.T, tally *proof.Tally, bit int) (found bool) {
	t.Helper()
	write := func(b byte) {
		file, err := os.OpenFile(f.name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.WriteAt([]byte{b}, int64(bit/8))
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(f.data[bit/8] ^ 1<<(bit%8))
	shown, err := bytesLook(f.dir)
	write(f.data[bit/8])
	for _, id := range bytesApps {
		cut := bit/8 >= f.last && shown[id] == f.before[id]
		if err == nil && shown[id] != f.whole[id] && !cut {
			what := fmt.Sprintf("%s, %s, bit %d of byte %d", filepath.Base(f.dir), filepath.Base(f.name), bit%8, bit/8)
			tally.Lost("%s: nothing is wrong, and app %s shows\n%s\nwant\n%s", what, id, shown[id], f.whole[id])
		}
	}
	return err != nil
}
