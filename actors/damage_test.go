package actors_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// lines is a log that counts.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) with(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), part)
}

// twoVolumes makes a store of two volumes and returns an app of each.
func twoVolumes(t *testing.T, dir string, opts actors.Options) (ids [2]storage.AppID) {
	t.Helper()
	eng, err := actors.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		id := storage.AppID(fmt.Sprintf("app-number-%d", i))
		app, _ := eng.App(id)
		must[storage.ID[entry]](t)(addEntry.Run(app.As(t.Context(), nil), "before"))
	}
	if err := eng.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for v := range ids {
		data, err := os.ReadFile(volumeFile(dir, v))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			if id := fmt.Sprintf("app-number-%d", i); bytes.Contains(data, []byte(id)) {
				ids[v] = storage.AppID(id)
			}
		}
	}
	return ids
}

func volumeFile(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("volume-%03d.db", i))
}

// TestG37_ALostVolumeTurnsHealthRed: a volume that is damaged when the store is
// opened, whichever it is, or replaced or removed while it is served, is noticed
// though nobody calls its apps: Health names it, its apps are told, and calls, jobs
// and declared triggers of the others go on. The log has it once.
func TestG37_ALostVolumeTurnsHealthRed(t *testing.T) {
	for _, way := range []string{"cut off before", "replaced", "removed", "cut to nothing"} {
		for lost := range 2 {
			t.Run(fmt.Sprintf("%s %d", way, lost), func(t *testing.T) {
				dir := t.TempDir()
				var log lines
				opts := actors.Options{Functions: newKit().reg, Volumes: 2, Testing: actors.Testing{NoSync: true}, Logger: log.logger(), Program: "test"}
				synctest.Test(t, func(t *testing.T) {
					ids := twoVolumes(t, dir, opts)
					path, want := volumeFile(dir, lost), dispatch.CodeDataLoss
					if way == "cut off before" {
						if err := os.Truncate(path, 4*4096); err != nil {
							t.Fatal(err)
						}
					}
					eng, err := actors.Open(dir, opts)
					if err != nil {
						t.Fatal(err)
					}
					other, _ := eng.App(ids[1-lost])
					id := must[storage.JobID](t)(other.Scheduler(t.Context()).RunAfter(30*time.Second, addEntry.With("job")))
					switch way {
					case "replaced":
						data, err := os.ReadFile(path)
						err = errors.Join(err, os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path))
						if err != nil {
							t.Fatal(err)
						}
						want = dispatch.CodeUnavailable
					case "removed":
						if err := os.Remove(path); err != nil {
							t.Fatal(err)
						}
						want = dispatch.CodeUnavailable
					case "cut to nothing":
						if err := os.Truncate(path, 0); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(2 * time.Second) // the check of the files comes
					app, _ := eng.App(ids[lost])
					began := time.Now()
					_, err = addEntry.Run(app.As(t.Context(), nil), "x")
					wantCode(t, err, want)
					if took := time.Since(began); took != 0 {
						t.Errorf("the call took %v", took)
					}
					if err := eng.Health(); err == nil || !strings.Contains(err.Error(), filepath.Base(path)) {
						t.Errorf("health: %v, want an error that names the volume", err)
					}
					must[storage.ID[entry]](t)(addEntry.Run(other.As(t.Context(), nil), "y"))
					time.Sleep(time.Minute)
					job, _, err := other.Scheduler(t.Context()).Get(id)
					if err != nil || job.State != storage.StateSuccess {
						t.Errorf("the other app's job: %v, %v", job.State, err)
					}
					if n := log.with("volume is down"); n != 1 {
						t.Errorf("the log has it %d times", n)
					}
					time.Sleep(2 * time.Minute)
					told := log.with("level=ERROR")
					if time.Sleep(10 * time.Minute); log.with("level=ERROR") != told {
						t.Errorf("the log goes on about it: %s", log.buf.String())
					}
					if err := eng.Close(t.Context()); err != nil {
						t.Errorf("close: %v", err)
					}
				})
			})
		}
	}
}

// TestG37_ADamagedPageOfTheDirectory: the pages that list the apps of a volume are
// zeroed while it is served. Calls of its apps, new ones included, are answered with
// data_loss at once; those of the other volume go on, and the engine closes.
func TestG37_ADamagedPageOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	opts := actors.Options{Functions: newKit().reg, Volumes: 2, Testing: actors.Testing{NoSync: true}, Logger: quiet}
	synctest.Test(t, func(t *testing.T) {
		ids := twoVolumes(t, dir, opts)
		eng, err := actors.Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(volumeFile(dir, 0))
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(volumeFile(dir, 0), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for page := 2; page < len(data)/4096; page++ {
			if bytes.Contains(data[page*4096:][:4096], []byte(ids[0])) {
				if _, err := f.WriteAt(make([]byte, 4096), int64(page*4096)); err != nil {
					t.Fatal(err)
				}
			}
		}
		lost := 0
		for i := range 12 {
			id := storage.AppID(fmt.Sprintf("app-number-%d", i))
			app, _ := eng.App(id)
			began := time.Now()
			_, err := addEntry.Run(app.As(t.Context(), nil), "x")
			if err != nil {
				wantCode(t, err, dispatch.CodeDataLoss)
				if !strings.Contains(dispatch.AsError(err).Message, "app "+string(id)) {
					t.Errorf("app %s: the error does not name it: %v", id, err)
				}
				lost++
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("app %s: the call took %v", id, took)
			}
		}
		if lost < 2 || lost > 10 {
			t.Errorf("%d of 12 apps are lost", lost)
		}
		other, _ := eng.App(ids[1])
		id := must[storage.JobID](t)(other.Scheduler(t.Context()).RunAfter(time.Minute, addEntry.With("job")))
		time.Sleep(2 * time.Minute)
		if job, _, err := other.Scheduler(t.Context()).Get(id); err != nil || job.State != storage.StateSuccess {
			t.Errorf("the other app's job: %v, %v", job.State, err)
		}
		if err := eng.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}
