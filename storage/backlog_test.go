package storage_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/internal/kv"
)

// wantBacklog demands which slots of trigger "t" are in its backlog, in seconds.
func wantBacklog(t *testing.T, app *storage.App, begun, late []int) {
	t.Helper()
	mustRead(t, app, func(r storage.Reader) {
		for _, tt := range []struct {
			name string
			read func(string, int) ([]storage.Job, error)
			want []int
		}{{"begun", r.System().Begun, begun}, {"late", r.System().Late, late}} {
			jobs, err := tt.read("t", 100)
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, job := range jobs {
				got = append(got, int(job.Slot.Sub(testNow)/time.Second))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: slots %v, want %v", tt.name, got, tt.want)
			}
		}
	})
}

// The backlog of a trigger has its pending ticks that are not its next any more,
// whatever becomes of them, and of no other trigger.
func TestG7_BacklogFollowsTicks(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	app := mustApp(t, s, "acme")
	tick := func(w storage.JobWriter, trigger string, slot int, late bool) {
		t.Helper()
		_, err := w.InsertTick(storage.Job{Function: "f:n", Trigger: trigger, Slot: slotAt(slot), Due: slotAt(slot), CaughtUp: late})
		if err != nil {
			t.Fatal(err)
		}
	}
	id := func(slot int) storage.JobID { return storage.TickID("t", slotAt(slot)) }
	again := storage.End{State: storage.StatePending, Due: slotAt(100), Error: &storage.JobError{Code: "internal", Message: "m"}}
	failed := storage.End{State: storage.StateFailed, Error: again.Error}
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		tick(w, "t", 1, true)
		tick(w, "t", 2, true)
		tick(w, "t", 3, false)
		tick(w, "t2", 4, true)
		if _, err := w.InsertJob(storage.Job{Function: "f:n", Trigger: "t", Due: slotAt(1)}); err != nil {
			t.Fatal(err)
		}
	})
	wantBacklog(t, app, nil, []int{1, 2})
	run := func(slot int, end storage.End) {
		t.Helper()
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			mustEnd(t, tx, id(slot), end)
		})
	}
	run(1, again)
	run(3, again)
	wantBacklog(t, app, []int{1, 3}, []int{2})
	run(3, again) // a second time
	mustClose(t, s)
	s = mustOpen(t, dir, storage.Options{})
	app = mustApp(t, s, "acme")
	wantBacklog(t, app, []int{1, 3}, []int{2})
	run(1, storage.End{State: storage.StateSuccess})
	run(3, failed)
	wantBacklog(t, app, nil, []int{2})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		// A job that was dead is no retry, also if it has been late.
		if ok, err := tx.RetryDead(id(3)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ok, err := tx.JobWriter().RemoveTick(id(2)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	wantBacklog(t, app, nil, nil)
	run(3, again)
	wantBacklog(t, app, []int{3}, nil)
	refused := errors.New("refused")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		err := w.Nested(func(w storage.JobWriter) error {
			if _, err := w.CancelJob(id(3)); err != nil {
				t.Fatal(err)
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Error(err)
		}
	})
	wantBacklog(t, app, []int{3}, nil)
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		if _, err := w.CancelJob(id(3)); err != nil {
			t.Fatal(err)
		}
	})
	wantBacklog(t, app, nil, nil)
	mustRead(t, app, func(r storage.Reader) {
		if _, err := r.System().Begun("t", 0); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("limit 0: %v", err)
		}
	})
}

// Check names an entry of a backlog that has no tick, and readers pass it over.
func TestG7_CheckFindsABacklogWithoutItsTick(t *testing.T) {
	s, err := storage.Open(t.TempDir(), storage.Options{Volumes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	app := mustApp(t, s, "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) { putTicking(t, w, "t", slotAt(1)) })
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	err = s.WriteVolume(0, func(tx *kv.Txn) error {
		return tx.Put(kv.Data, []byte("\x00\x00\x00\x01bt\x00b\x00\x00\x00\x00\x00\x00\x00\x07"), nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "backlog") {
		t.Errorf("check: %v", err)
	}
	wantBacklog(t, app, nil, nil)
}

// TestG7_ADamagedTickLeavesNoBacklog: a tick of the backlog whose record cannot be read,
// caught up or not, is taken out with its entry there, and no other one is.
func TestG7_ADamagedTickLeavesNoBacklog(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ids   [2]storage.JobID // of two ticks of one trigger; "" for that of the slot
		begun bool
	}{
		{name: "caught up"},
		{name: "begun", begun: true},
		{name: "of a start", ids: [2]storage.JobID{storage.StartID("t", 7), storage.StartID("t", 8)}},
		{name: "of a start, begun", ids: [2]storage.JobID{storage.StartID("t", 7), storage.StartID("t", 8)}, begun: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustOpenUnchecked(t)
			app := mustApp(t, s, "acme")
			var ids [2]storage.JobID
			mustUpdateJobs(t, app, func(w storage.JobWriter) {
				for i := range ids {
					job := storage.Job{ID: tt.ids[i], Function: "f:n", Args: []byte(`"argument"`), Trigger: "t", Slot: slotAt(i), Due: slotAt(i), CaughtUp: !tt.begun}
					if i == 1 {
						job.Function = "f:other"
					}
					var err error
					if ids[i], err = w.InsertTick(job); err != nil {
						t.Fatal(err)
					}
				}
			})
			begun, late := []int(nil), []int{1}
			if tt.begun {
				begun, late = late, begun
				mustTx(t, app, testNow, func(tx *storage.Tx) {
					for _, id := range ids {
						mustEnd(t, tx, id, storage.End{State: storage.StatePending, Due: slotAt(100), Error: &storage.JobError{Code: "internal", Message: "m"}})
					}
				})
			}
			mustEdit(t, s, 'q', func(v []byte) []byte {
				if bytes.Contains(v, []byte("f:n")) {
					v[1] = 2 // the version
				}
				return v
			})
			if err := s.Check(); err == nil {
				t.Error("the check finds nothing")
			}
			mustUpdateJobs(t, app, func(w storage.JobWriter) {
				if ok, err := w.RemoveTick(ids[0]); !ok || err != nil {
					t.Fatal(ok, err)
				}
			})
			if err := s.Check(); err != nil {
				t.Errorf("check: %v", err)
			}
			wantBacklog(t, app, begun, late)
		})
	}
}

// DueAt says of each app what the alarm index says.
func TestG14_DueAtIsWhatTheAlarmIndexSays(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	for id, seconds := range map[storage.AppID][]int{"a": {5, 3, 9}, "b": {7}, "none": nil} {
		mustUpdateJobs(t, mustApp(t, s, id), func(w storage.JobWriter) {
			if err := w.PutTrigger(&storage.Trigger{Name: "t"}); err != nil {
				t.Fatal(err)
			}
			for _, n := range seconds {
				mustInsert(t, w, storage.Job{Due: slotAt(n)})
			}
		})
	}
	want := map[storage.AppID]time.Time{"none": {}, "nowhere": {}}
	if err := s.Alarms(func(id storage.AppID, at time.Time) bool { want[id] = at; return true }); err != nil {
		t.Fatal(err)
	}
	if len(want) != 4 || !want["a"].Equal(slotAt(3)) {
		t.Errorf("the alarm index says %v", want)
	}
	for id, at := range want {
		if got, err := s.DueAt(id); err != nil || !got.Equal(at) {
			t.Errorf("app %s is due at %v, %v, want %v", id, got, err, at)
		}
	}
	if _, err := s.DueAt("a/b"); !errors.Is(err, storage.ErrInvalid) {
		t.Errorf("a bad name: %v", err)
	}
}
