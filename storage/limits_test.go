package storage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// parcel is a document with an index, so that writing one is two writes.
type parcel struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

var (
	parcels = storage.NewTable[parcel]("parcels", storage.Index("by_to", "to"))
	letters = storage.NewTable[parcel]("letters")
)

// TestG24_ATransactionHasLimits writes until it is refused: the limit's number of
// calls is let through, one more is not, changes nothing, and does not keep what was
// written before from being committed.
func TestG24_ATransactionHasLimits(t *testing.T) {
	job := func(w storage.JobWriter, i int) error {
		_, err := w.InsertJob(storage.Job{Function: "a:b", Due: testNow.Add(time.Duration(i))})
		return err
	}
	letter := func(w storage.JobWriter, _ int) error {
		_, err := letters.Insert(w.Writer(), parcel{Text: strings.Repeat("x", 1000)})
		return err
	}
	trigger := func(w storage.JobWriter, i int) error {
		return w.PutTrigger(&storage.Trigger{Name: fmt.Sprint("t", i), Spec: "@daily", Function: "a:b"})
	}
	many := storage.TxLimits{}.WithDefaults()
	for _, tt := range []struct {
		name   string
		limits storage.TxLimits
		calls  int
		call   func(storage.JobWriter, int) error
	}{
		{"jobs", storage.TxLimits{Jobs: 7}, 7, job},
		{"ticks", storage.TxLimits{Jobs: 7}, 7, func(w storage.JobWriter, i int) error {
			slot := testNow.Add(time.Duration(i) * time.Second)
			_, err := w.InsertTick(storage.Job{Function: "a:b", Trigger: "t", Slot: slot, Due: slot})
			return err
		}},
		{"jobs by writes", storage.TxLimits{Writes: 7}, 7, job},
		{"jobs with ids by writes", storage.TxLimits{Writes: 7}, 3, func(w storage.JobWriter, i int) error {
			_, err := w.InsertJob(storage.Job{ID: storage.JobID(fmt.Sprint("job", i)), Function: "a:b", Due: testNow})
			return err
		}},
		{"jobs by bytes", storage.TxLimits{Bytes: 10_000}, 9, func(w storage.JobWriter, _ int) error {
			_, err := w.InsertJob(storage.Job{Function: "a:b", Args: []byte(strings.Repeat("1", 1000)), Due: testNow})
			return err
		}},
		{"documents by writes", storage.TxLimits{Writes: 7}, 7, letter},
		{"documents by bytes", storage.TxLimits{Bytes: 10_000}, 9, letter},
		{"documents and index entries by writes", storage.TxLimits{Writes: 8}, 3, func(w storage.JobWriter, i int) error { // the first brings the table's record
			_, err := parcels.Insert(w.Writer(), parcel{To: fmt.Sprint(i)})
			return err
		}},
		{"triggers by writes", storage.TxLimits{Writes: 7}, 7, trigger},
		{"triggers by bytes", storage.TxLimits{Bytes: 600}, 23, trigger},
		{"slots by writes", storage.TxLimits{Writes: 7}, 6, func(w storage.JobWriter, i int) error { // each may push another out
			at := testNow.Add(time.Duration(i) * time.Second)
			return w.LogSlot("t", storage.Slot{From: at, To: at, Count: 1, Outcome: storage.SlotFired})
		}},
		{"nested", storage.TxLimits{Writes: 7}, 7, func(w storage.JobWriter, i int) error {
			return w.Nested(func(w storage.JobWriter) error { return letter(w, i) })
		}},
		{"nested deeply", storage.TxLimits{Jobs: 7}, 7, func(w storage.JobWriter, i int) error {
			return w.Nested(func(w storage.JobWriter) error {
				return w.Nested(func(w storage.JobWriter) error { return job(w, i) })
			})
		}},
		{"default jobs", many, 10_000, job},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{parcels}, NoSync: true})
			app := mustApp(t, s, "acme")
			limits := tt.limits.WithDefaults()
			tx := app.Begin(testNow)
			w := tx.Bounded(&limits)
			n := 0
			for ; n < 2*tt.calls; n++ {
				if err := tt.call(w, n); err != nil {
					if !errors.Is(err, storage.ErrTxLimit) || errors.Is(err, storage.ErrLimit) {
						t.Errorf("call %d: %v, want ErrTxLimit", n+1, err)
					}
					break
				}
			}
			if n != tt.calls {
				t.Errorf("%d calls were let through, want %d", n, tt.calls)
			}
			mustCommit(t, tx)
			if got := app.Pending(); strings.Contains(tt.name, "jobs") && got != n {
				t.Errorf("%d jobs are pending , want %d", got, n)
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestG24_LimitsOfWhatExists covers the calls that change what is there already.
func TestG24_LimitsOfWhatExists(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: []storage.Schema{parcels}, NoSync: true})
	app := mustApp(t, s, "acme")
	var jobs []storage.JobID
	var docs []storage.ID[parcel]
	slot := func(i int) time.Time { return testNow.Add(time.Duration(i) * time.Hour) }
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for i := range 10 {
			jobs = append(jobs, mustInsert(t, w, storage.Job{}))
			id, err := parcels.Insert(w.Writer(), parcel{To: fmt.Sprint(i)})
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, id)
			if _, err := w.InsertTick(storage.Job{Function: "a:b", Trigger: "t", Slot: slot(i), Due: slot(i)}); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			if err := w.PutTrigger(&storage.Trigger{Name: "t", Spec: "@daily", Function: "a:b"}); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, tt := range []struct {
		name  string
		calls int // of 10 writes
		call  func(storage.JobWriter, int) error
	}{
		{"cancel", 3, func(w storage.JobWriter, i int) error { // 4 are set aside, 3 are needed without a claim
			answer, err := w.CancelJob(jobs[i])
			if err == nil && !answer.Canceled {
				err = errors.New("it was not canceled")
			}
			return err
		}},
		{"move in an index", 3, func(w storage.JobWriter, i int) error {
			return parcels.Replace(w.Writer(), docs[i], parcel{To: "else"})
		}},
		{"stay in an index", 10, func(w storage.JobWriter, i int) error {
			return parcels.Replace(w.Writer(), docs[i], parcel{To: fmt.Sprint(i), Text: "new"})
		}},
		{"delete", 5, func(w storage.JobWriter, i int) error { return parcels.Delete(w.Writer(), docs[i]) }},
		{"remove a tick", 4, func(w storage.JobWriter, i int) error {
			ok, err := w.RemoveTick(storage.TickID("t", slot(i)))
			if err == nil && !ok {
				err = errors.New("it was not removed")
			}
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tx := app.Begin(testNow)
			defer tx.Rollback(nil)
			limits := storage.TxLimits{Writes: 10}.WithDefaults()
			w := tx.Bounded(&limits)
			for i := range tt.calls {
				if err := tt.call(w, i); err != nil {
					t.Fatalf("call %d: %v", i+1, err)
				}
			}
			if tt.calls == 10 {
				// What was written already may be written again.
				if err := tt.call(w, 9); err != nil {
					t.Errorf("the same again: %v", err)
				}
				return
			}
			if err := tt.call(w, tt.calls); !errors.Is(err, storage.ErrTxLimit) {
				t.Errorf("call %d: %v, want ErrTxLimit", tt.calls+1, err)
			}
		})
	}
}

// TestG24_LimitsCountWhatIsKept: what a nested transaction wrote counts no more once
// it was dropped, and the engine's own writes are not refused.
func TestG24_LimitsCountWhatIsKept(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{NoSync: true}), "acme")
	limits := storage.TxLimits{Jobs: 3, Writes: 3}.WithDefaults()
	tx := app.Begin(testNow)
	w := tx.Bounded(&limits)
	for range 5 {
		err := w.Nested(func(w storage.JobWriter) error {
			for range 3 {
				mustInsert(t, w, storage.Job{})
			}
			return errors.New("dropped")
		})
		if err == nil || err.Error() != "dropped" {
			t.Fatal(err)
		}
	}
	for range 3 {
		mustInsert(t, w, storage.Job{})
	}
	if _, err := w.InsertJob(storage.Job{Function: "a:b", Due: testNow}); !errors.Is(err, storage.ErrTxLimit) {
		t.Errorf("got %v, want ErrTxLimit", err)
	}
	mustInsert(t, tx.JobWriter(), storage.Job{})
	mustCommit(t, tx)
	if got := app.Pending(); got != 4 {
		t.Errorf("%d jobs are pending, want 4", got)
	}
}

func TestTxLimitsCheck(t *testing.T) {
	err := storage.TxLimits{Jobs: -1, Writes: -1, Bytes: -1}.Check()
	for _, field := range []string{"Jobs", "Writes", "Bytes"} {
		if !errors.Is(err, storage.ErrInvalid) || !strings.Contains(err.Error(), "TxLimits."+field+" is -1") {
			t.Errorf("got %v, want ErrInvalid that names %s", err, field)
		}
	}
	if err := (storage.TxLimits{}).Check(); err != nil {
		t.Error(err)
	}
}
