package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/storage"
)

// scriptStep is one durable call.
type scriptStep struct {
	app storage.AppID
	do  func(tx *storage.Tx) error
	// special is a call of the store instead of a transaction; applied says
	// whether it has happened, when its answer left that open.
	special func(s *storage.Store) error
	applied func(s *storage.Store) (bool, error)
	// wait: the answers of all calls so far are awaited before the next.
	wait bool
}

// scriptNow is the scheduler's time in call k of the script.
func scriptNow(k int) time.Time { return testNow.Add(time.Duration(k) * time.Second) }

// script is what the worker does. Every transaction also writes down in a
// document which call it was.
func script() (steps []scriptStep) {
	tx := func(app storage.AppID, wait bool, do func(tx *storage.Tx) error) {
		steps = append(steps, scriptStep{app: app, wait: wait, do: do})
	}
	insert := func(tx *storage.Tx, id storage.JobID, due time.Time) error {
		_, err := tx.JobWriter().InsertJob(storage.Job{ID: id, Function: "a:b", Args: []byte(`"` + strings.Repeat("x", 1500) + `"`), Due: due})
		return err
	}
	claim := func(tx *storage.Tx, id storage.JobID) (storage.Job, error) {
		job, ok, err := tx.Writer().System().Get(id)
		if err != nil || !ok {
			return job, fmt.Errorf("job %s: %v, %w", id, ok, err)
		}
		if ok, err = tx.Claim(&job); !ok {
			err = fmt.Errorf("claim %s: %v, %w", id, ok, err)
		}
		return job, err
	}
	end := func(tx *storage.Tx, id storage.JobID, end storage.End) error {
		jobs, err := tx.Claimed()
		if err != nil {
			return err
		}
		for _, job := range jobs {
			if job.ID == id {
				_, err := tx.EndAttempt(job, end)
				return err
			}
		}
		return fmt.Errorf("job %s is not claimed", id)
	}
	cancel := func(tx *storage.Tx, id storage.JobID) error {
		answer, err := tx.JobWriter().CancelJob(id)
		if err == nil && !answer.Canceled {
			err = fmt.Errorf("cancel %s: %+v", id, answer)
		}
		return err
	}
	oops := &storage.JobError{Code: "internal", Message: "oops"}

	// The app comes into being with its first change.
	tx("a", true, func(tx *storage.Tx) error {
		_, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "bell"})
		return errors.Join(err, insert(tx, "", testNow.Add(time.Hour)))
	})
	// These are submitted together, and share commits as it happens.
	for i := range 6 {
		app := storage.AppID([]string{"a", "b"}[i%2])
		tx(app, i == 5, func(tx *storage.Tx) error {
			for j := range 3 {
				if err := insert(tx, storage.JobID(fmt.Sprintf("job%d-%d", i, j)), testNow.Add(time.Duration(i)*time.Second)); err != nil {
					return err
				}
			}
			_, err := dingbats.Insert(tx.Writer(), Dingbat{Name: fmt.Sprint("clapper", i), Count: i})
			return err
		})
	}
	// A claim, and every way for it to end.
	tx("a", true, func(tx *storage.Tx) error {
		for _, id := range []storage.JobID{"job0-0", "job0-1", "job0-2", "job2-0"} {
			if _, err := claim(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	tx("a", false, func(tx *storage.Tx) error {
		return end(tx, "job0-0", storage.End{State: storage.StateSuccess, StartedAt: testNow})
	})
	tx("a", false, func(tx *storage.Tx) error {
		return end(tx, "job0-1", storage.End{State: storage.StatePending, Due: testNow.Add(time.Minute), Error: oops})
	})
	tx("a", false, func(tx *storage.Tx) error {
		return end(tx, "job0-2", storage.End{State: storage.StateFailed, Error: oops})
	})
	tx("a", true, func(tx *storage.Tx) error { return cancel(tx, "job2-0") })
	tx("b", false, func(tx *storage.Tx) error { return cancel(tx, "job1-0") })
	tx("b", true, func(tx *storage.Tx) error { return cancel(tx, "job3-1") })
	// The dead come back, or go for good.
	tx("a", true, func(tx *storage.Tx) error {
		ok, err := tx.RetryDead("job0-2")
		if err == nil && !ok {
			err = errors.New("no dead job")
		}
		return err
	})
	tx("a", true, func(tx *storage.Tx) error {
		job, err := claim(tx, "job0-2")
		if err != nil {
			return err
		}
		_, err = tx.EndAttempt(job, storage.End{State: storage.StateFailed, Error: oops})
		return err
	})
	tx("a", true, func(tx *storage.Tx) error {
		ok, err := tx.DropDead("job0-2")
		if err == nil && !ok {
			err = errors.New("no dead job")
		}
		return err
	})
	tx("a", true, func(tx *storage.Tx) error {
		n, _, err := tx.PurgeHistory(time.Time{}, 1, 10)
		if err == nil && n != 1 {
			err = fmt.Errorf("purged %d", n)
		}
		return err
	})
	// A nested transaction that joins, and one that is dropped.
	tx("b", true, func(tx *storage.Tx) error {
		err := tx.JobWriter().Nested(func(w storage.JobWriter) error {
			_, err := dingbats.Insert(w.Writer(), Dingbat{Name: "joined"})
			return err
		})
		if err := tx.JobWriter().Nested(func(w storage.JobWriter) error {
			if _, err := dingbats.Insert(w.Writer(), Dingbat{Name: "dropped"}); err != nil {
				return err
			}
			return errDropped
		}); !errors.Is(err, errDropped) {
			return err
		}
		return err
	})
	// A tick ends, and the trigger moves on to its next, in one commit (G20).
	tx("a", false, func(tx *storage.Tx) error { return tick(tx.JobWriter(), testNow) })
	tx("a", true, func(tx *storage.Tx) error {
		job, err := claim(tx, storage.TickID("toll", testNow))
		if err != nil {
			return err
		}
		_, err = tx.EndAttempt(job, storage.End{State: storage.StateSuccess, StartedAt: testNow})
		return errors.Join(err, tick(tx.JobWriter(), testNow.Add(time.Hour)))
	})
	// Enough to split pages and to make the file grow.
	tx("a", true, func(tx *storage.Tx) error {
		for i := range 300 {
			if err := insert(tx, "", testNow.Add(time.Duration(i%7)*time.Minute)); err != nil {
				return err
			}
		}
		return nil
	})
	tx("a", true, func(tx *storage.Tx) error {
		for d, err := range dingbats.Query(tx.Writer()).By("by_name").From("clapper0").To("clapper4").All() {
			if err != nil {
				return err
			}
			if err := dingbats.Patch(tx.Writer(), d.ID, func(d *Dingbat) error { d.Count += 100; return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	// An app moves, and another goes.
	holds := func(s *storage.Store, id storage.AppID) (bool, error) {
		apps, err := s.Apps()
		return slices.Contains(apps, id), err
	}
	steps = append(steps, scriptStep{
		wait: true,
		special: func(s *storage.Store) error {
			var b bytes.Buffer
			if err := s.Export(context.Background(), "b", &b); err != nil {
				return err
			}
			return s.Import(context.Background(), "c", &b, storage.AuditEntry{At: testNow, Operator: "ann", Action: "import", App: "c"})
		},
		applied: func(s *storage.Store) (bool, error) { return holds(s, "c") },
	}, scriptStep{
		wait: true,
		special: func(s *storage.Store) error {
			return s.Delete("b", storage.AuditEntry{At: testNow, Operator: "ann", Action: "delete", App: "b"})
		},
		applied: func(s *storage.Store) (bool, error) {
			held, err := holds(s, "b")
			return !held, err
		},
	})
	tx("b", true, func(tx *storage.Tx) error { return insert(tx, "anew", testNow) })
	tx("c", true, func(tx *storage.Tx) error { return cancel(tx, "job5-2") })
	return steps
}

// stepMark is the name of the document that says which call was the last.
const stepMark = "step"

// readMark is the last call of the script that the app has.
func readMark(r storage.Reader) (int, error) {
	d, _, err := dingbats.Query(r).By("by_name").Eq(stepMark).First()
	return d.Value.Count, err
}

func writeMark(tx *storage.Tx, k int) error {
	d, ok, err := dingbats.Query(tx.Writer()).By("by_name").Eq(stepMark).First()
	if err != nil {
		return err
	}
	if !ok {
		_, err := dingbats.Insert(tx.Writer(), Dingbat{Name: stepMark, Count: k})
		return err
	}
	return dingbats.Patch(tx.Writer(), d.ID, func(d *Dingbat) error { d.Count = k; return nil })
}

// player works through the script.
type player struct {
	s      *storage.Store
	apps   map[storage.AppID]*storage.App
	ack    func(k int)
	answer chan error
}

var errGaveUp = errors.New("gave up")

// app returns the app, opening it at its first use.
func (p *player) app(id storage.AppID) (*storage.App, error) {
	if a := p.apps[id]; a != nil {
		return a, nil
	}
	a, err := p.s.App(id)
	if err == nil {
		p.apps[id] = a
	}
	return a, err
}

// submit submits call k.
func (p *player) submit(k int, step scriptStep) error {
	a, err := p.app(step.app)
	if err != nil {
		return err
	}
	tx := a.Begin(scriptNow(k))
	if err := errors.Join(step.do(tx), writeMark(tx, k)); err != nil {
		tx.Rollback(nil)
		return err
	}
	tx.Audit(storage.AuditEntry{Operator: "ann", Action: fmt.Sprint("call ", k)})
	return tx.Commit(func(err error) { p.answer <- err })
}

// play does the calls and reports each acknowledgement, in order.
func (p *player) play(steps []scriptStep) error {
	acked := 0
	for i, step := range steps {
		k := i + 1
		if step.special != nil {
			if err := step.special(p.s); err != nil {
				return fmt.Errorf("call %d: %w", k, err)
			}
			acked = k
			p.ack(k)
			p.apps = map[storage.AppID]*storage.App{}
			continue
		}
		if err := p.submit(k, step); err != nil {
			return fmt.Errorf("call %d: %w", k, err)
		}
		for step.wait && acked < k {
			if err := <-p.answer; err != nil {
				return fmt.Errorf("call %d: %w", acked+1, err)
			}
			acked++
			p.ack(acked)
		}
	}
	return nil
}

// playOn does the calls one by one on a disk that has errors: after each it
// finds out whether the call has happened, and repeats it if not.
func (p *player) playOn(steps []scriptStep) error {
	for i, step := range steps {
		k := i + 1
		for tries := 0; ; tries++ {
			if tries == 10 {
				return errGaveUp
			}
			done, err := p.try(k, step)
			if done {
				p.ack(k)
				break
			}
			if p.s.Warnings() != nil {
				time.Sleep(100 * time.Millisecond) // a checkpoint is tried again soon, and makes room
			}
			if err == nil {
				continue // it certainly did not happen
			}
			if !errors.Is(err, storage.ErrUnavailable) {
				return fmt.Errorf("call %d: %w", k, err)
			}
			if a, err := p.app(step.app); err == nil {
				time.Sleep(min(a.RetryIn(), 50*time.Millisecond)) // the volume rests after failures in a row
			}
		}
	}
	return nil
}

// try does call k and says whether it has happened. The error is one of finding that out.
func (p *player) try(k int, step scriptStep) (done bool, err error) {
	if step.special != nil {
		if err := step.special(p.s); err == nil {
			p.apps = map[storage.AppID]*storage.App{}
			return true, nil
		} else if !badDisk(err) {
			return false, err
		}
		return step.applied(p.s)
	}
	err = p.submit(k, step)
	if err == nil {
		err = <-p.answer
	}
	if err == nil {
		return true, nil
	}
	if !badDisk(err) {
		return false, err
	}
	a, err := p.app(step.app)
	if err != nil {
		return false, err
	}
	if err := a.Reload(); err != nil {
		// The committer tries to open the file again when it is asked for something.
		a.Begin(scriptNow(k)).Rollback(func(err error) { p.answer <- err })
		<-p.answer
		return false, err
	}
	snap, err := a.Snapshot(scriptNow(k))
	if err != nil {
		return false, err
	}
	defer snap.Close()
	mark, err := readMark(snap.Reader())
	return mark == k, err
}

// badDisk says whether the error is one that a broken disk may lead to.
func badDisk(err error) bool {
	return errors.Is(err, storage.ErrUnknownOutcome) || errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrNotApplied)
}
