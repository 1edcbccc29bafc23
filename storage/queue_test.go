package storage_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"carillon/storage"
)

// gate lets no commit of a store begin until it is opened, and counts them.
type gate struct {
	shut    atomic.Bool
	commits atomic.Int64
	gcs     atomic.Int64
	arrived chan struct{} // a commit has come to the gate
	open    chan struct{}
}

func newGate() *gate { return &gate{arrived: make(chan struct{}, 1), open: make(chan struct{})} }

func (g *gate) fault(point string) error {
	switch point {
	case "commit":
		if g.shut.Load() {
			select {
			case g.arrived <- struct{}{}:
			default:
			}
			<-g.open
			g.commits.Add(1)
		}
	case "gc":
		g.gcs.Add(1)
	}
	return nil
}

// TestG24_ALightChangeSetWaitsForOneHeavyOne: behind the commit under way there are
// heavy change sets of many apps and then a light one of another.
func TestG24_ALightChangeSetWaitsForOneHeavyOne(t *testing.T) {
	g := newGate()
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 1, NoSync: true, Fault: g.fault})
	var mu sync.Mutex
	var done []string
	apps := map[string]*storage.App{}
	for _, name := range []string{"first", "heavy0", "heavy1", "heavy2", "heavy3", "heavy4", "light", "keys"} {
		apps[name] = mustApp(t, s, storage.AppID(name))
	}
	g.shut.Store(true)
	commit := func(name string, docs, size int) {
		tx := apps[name].Begin(testNow)
		for range docs {
			if _, err := letters.Insert(tx.Writer(), parcel{Text: strings.Repeat("x", size)}); err != nil {
				t.Fatal(err)
			}
		}
		err := tx.Commit(func(err error) {
			mu.Lock()
			defer mu.Unlock()
			done = append(done, fmt.Sprintf("%s in %d", name, g.commits.Load()))
			if err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	commit("first", 1, 10)
	<-g.arrived
	for i := range 5 {
		commit(fmt.Sprint("heavy", i), 2, 900_000)
	}
	commit("keys", 10_000, 1) // heavy, though of few bytes
	commit("light", 1, 10)
	close(g.open)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"first in 1", "light in 2", "heavy0 in 3", "heavy1 in 3", "heavy2 in 4", "heavy3 in 4", "heavy4 in 5", "keys in 5"}
	if !slices.Equal(done, want) {
		t.Errorf("got %v, want %v", done, want)
	}
}

// TestG24_ImportsAndGarbageCollectionGoInPieces: what the import of an app writes, or garbage collection
// after its removal takes away, is a commit in each few megabytes, so that others
// are let in between.
func TestG24_ImportsAndGarbageCollectionGoInPieces(t *testing.T) {
	synctest.Test(t, testPieces)
}

func testPieces(t *testing.T) {
	const docs, size = 20, 900_000
	from := mustOpen(t, t.TempDir(), storage.Options{NoSync: true})
	mustUpdate(t, mustApp(t, from, "acme"), func(w storage.Writer) {
		for range docs {
			if _, err := letters.Insert(w, parcel{Text: strings.Repeat("x", size)}); err != nil {
				t.Fatal(err)
			}
		}
	})
	r, w := io.Pipe()
	go func() { w.CloseWithError(from.Export(t.Context(), "acme", w)) }()
	g := newGate()
	close(g.open)
	g.shut.Store(true)
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 1, NoSync: true, Fault: g.fault})
	if err := s.Import(t.Context(), "acme", r); err != nil {
		t.Fatal(err)
	}
	if n := g.commits.Load(); n < docs/2 {
		t.Errorf("%d MB were imported in %d commits", docs*size/1_000_000, n)
	}
	if err := s.Delete("acme"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if n := g.gcs.Load(); n < docs*size/(5<<20) {
		t.Errorf("%d MB were collected in %d commits", docs*size/1_000_000, n)
	}
}

// TestG24_ManyOfAnAppWaitLikeAHeavyOne: behind the commit under way there are change
// sets of one app that are heavy together only, and then one of another app.
func TestG24_ManyOfAnAppWaitLikeAHeavyOne(t *testing.T) {
	for _, awaited := range []bool{false, true} {
		t.Run(fmt.Sprint(awaited), func(t *testing.T) {
			g := newGate()
			s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 1, NoSync: true, Fault: g.fault})
			var mu sync.Mutex
			in := map[string][]int64{}
			apps := map[string]*storage.App{}
			for _, name := range []string{"first", "noisy", "light"} {
				apps[name] = mustApp(t, s, storage.AppID(name))
			}
			g.shut.Store(true)
			commit := func(name string, size int) {
				tx := apps[name].Begin(testNow)
				if _, err := letters.Insert(tx.Writer(), parcel{Text: strings.Repeat("x", size)}); err != nil {
					t.Fatal(err)
				}
				if awaited {
					tx.Await()
				}
				if err := tx.Commit(func(err error) {
					mu.Lock()
					defer mu.Unlock()
					in[name] = append(in[name], g.commits.Load())
					if err != nil {
						t.Error(err)
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			commit("first", 10)
			<-g.arrived
			for range 40 {
				commit("noisy", 400_000)
			}
			commit("light", 10)
			close(g.open)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(in["light"], []int64{2}) || len(in["noisy"]) != 40 || !slices.IsSorted(in["noisy"]) {
				t.Errorf("committed in %v, want the light one in 2", in)
			}
		})
	}
}
