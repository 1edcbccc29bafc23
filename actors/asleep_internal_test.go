package actors

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"carillon/dispatch"
	"carillon/storage"
)

// TestG26_SleepingAppsAreForgotten: of apps that are asleep hardly one is left in
// memory. Some caches of the actor library keep the last ones they have seen.
func TestG26_SleepingAppsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng, err := Open(t.TempDir(), Options{Functions: dispatch.NewRegistry(), IdleAfter: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close(t.Context())
		const apps, most = 200, 20
		var states []weak.Pointer[appState]
		for i := range apps {
			id := storage.AppID(fmt.Sprint("app-", i))
			ref, err := eng.directory.acquire(t.Context(), id, nil)
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, weak.Make(ref.app))
			ref.release()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		left := 0
		for range 3 {
			runtime.GC()
		}
		for _, state := range states {
			if state.Value() != nil {
				left++
			}
		}
		if left > most {
			t.Errorf("%d of %d apps that are asleep are in memory, want at most %d", left, apps, most)
		}
	})
}

// doNothing is a program with one function, which does nothing, and that function.
func doNothing() (*dispatch.Registry, *dispatch.MutationRef[dispatch.None, dispatch.None]) {
	functions := dispatch.NewRegistry()
	do := dispatch.Mutation[dispatch.None, dispatch.None]("do:nothing")
	do.Handle(functions, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) { return dispatch.None{}, nil })
	return functions, do
}

// stepped runs test on an engine whose wall step sets ahead, with an app that is awake and
// has a job due in two hours, of which due tells by what is committed.
func stepped(t *testing.T, test func(eng *Engine, step *atomic.Int64, ref *appRef, due func() time.Time)) {
	synctest.Test(t, func(t *testing.T) {
		functions, do := doNothing()
		var step atomic.Int64
		eng, err := Open(t.TempDir(), Options{
			Functions: functions, IdleAfter: time.Second, ClockCheck: 24 * time.Hour,
			Testing: Testing{Clock: func() time.Time { return time.Now().Add(time.Duration(step.Load())) }},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close(context.Background())
		app, err := eng.App("acme")
		if err != nil {
			t.Fatal(err)
		}
		id, err := app.Scheduler(t.Context()).RunAfter(2*time.Hour, do.With(dispatch.None{}))
		if err != nil {
			t.Fatal(err)
		}
		v, _ := eng.directory.live.Load(app.ID())
		ref := v.(*appRef)
		store := ref.app.store
		test(eng, &step, ref, func() time.Time {
			snap, err := store.Snapshot(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer snap.Close()
			job, _, err := snap.Reader().System().Get(id)
			if err != nil {
				t.Fatal(err)
			}
			return job.Due
		})
	})
}

// TestG20_AnAppThatFallsAsleepWritesNothingMore: it has told the directory, and the next
// App of the name may be open beside what it would still submit.
func TestG20_AnAppThatFallsAsleepWritesNothingMore(t *testing.T) {
	stepped(t, func(eng *Engine, step *atomic.Int64, _ *appRef, due func() time.Time) {
		was := due()
		stuck := make(chan struct{}) // the directory is slow to stop it
		eng.sys.tell(eng.directory.self, &acquireApp{"other", func(ref *appRef, _ error) {
			<-stuck
			ref.release()
		}})
		time.Sleep(3 * time.Second)
		synctest.Wait()
		step.Store(int64(-time.Hour))
		eng.sys.tell(eng.waker.self, &checkClock{})
		synctest.Wait()
		if is := due(); !is.Equal(was) {
			t.Errorf("the app fell asleep, and its job was moved from %v to %v", was, is)
		}
		close(stuck)
		synctest.Wait()
		if is := due(); is.Sub(was.Add(-time.Hour)).Abs() > time.Second {
			t.Errorf("the wall was set back by an hour: a job due at %v is due at %v", was, is)
		}
	})
}

// TestG12_AnAppThatFallsAsleepWhileTheWallIsSteppedIsPutRight: it was found awake, so that
// nothing woke it, and had made up its mind to sleep when it was told.
func TestG12_AnAppThatFallsAsleepWhileTheWallIsSteppedIsPutRight(t *testing.T) {
	stepped(t, func(eng *Engine, step *atomic.Int64, ref *appRef, due func() time.Time) {
		was := due()
		mind := make(chan struct{})
		eng.sys.tell(ref.app.scheduler, &inspect{func(Inspection) { <-mind }})
		step.Store(int64(-time.Hour))
		eng.sys.tell(eng.waker.self, &checkClock{})
		synctest.Wait()
		if !eng.directory.sleep(ref, time.Time{}) {
			t.Fatal("the app does not fall asleep")
		}
		synctest.Wait()
		close(mind)
		synctest.Wait()
		if is := due(); is.Sub(was.Add(-time.Hour)).Abs() > time.Second {
			t.Errorf("the wall was set back by an hour: a job due at %v is due at %v", was, is)
		}
	})
}

// TestG2_AnAppIsOpenedAnewWhenTheFileHasAllOfIt: whatever its actors were stopped for,
// the next App of the name finds what this one has submitted.
func TestG2_AnAppIsOpenedAnewWhenTheFileHasAllOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		functions, do := doNothing()
		disk := make(chan struct{})
		var stuck atomic.Bool
		eng, err := Open(t.TempDir(), Options{Functions: functions, Testing: Testing{Fault: func(point string) error {
			if stuck.Load() && point == "commit" {
				<-disk
			}
			return nil
		}}})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close(context.Background())
		app, err := eng.App("acme")
		if err != nil {
			t.Fatal(err)
		}
		schedule := func() {
			if _, err := app.Scheduler(t.Context()).RunAfter(time.Hour, do.With(dispatch.None{})); err != nil {
				t.Error(err)
			}
		}
		schedule()
		stuck.Store(true)
		go schedule()
		synctest.Wait()
		v, _ := eng.directory.live.Load(app.ID())
		ref := v.(*appRef)
		ref.door.state.Store(uint64(doorAsleep)<<32 | 1)
		eng.sys.tell(eng.directory.self, &sleepApp{ref})
		seen := make(chan int, 1)
		go func() {
			page, err := app.Scheduler(t.Context()).List(storage.JobFilter{})
			if err != nil {
				t.Error(err)
			}
			seen <- len(page.Jobs)
		}()
		synctest.Wait()
		early := len(seen) > 0
		close(disk)
		if n := <-seen; n != 2 || early {
			t.Errorf("the app was opened anew with %d jobs, want 2; before its second one was in the file: %v", n, early)
		}
	})
}
