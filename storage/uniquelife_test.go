package storage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carillon/storage"
)

// keyPart is what of the name of a key is not its function's.
func keyPart(key string) string { return key[strings.IndexByte(key, 0)+1:] }

// TestG29_KeysOverARandomLife: whatever becomes of the jobs of some keys, and under whichever
// name of their function they were stored, one at most of each is
// pending beside one that runs, the check agrees after each transaction, rolled back or not,
// and nothing of a key is left in the end.
func TestG29_KeysOverARandomLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		u := newUniqueApp(t)
		names := []string{"a:b", "a:old", "a:older"} // of one function
		u.app.SetNames(func(string) []string { return names })
		running := map[storage.JobID]storage.Job{}
		u.app.SetStopping(func(key string) storage.JobID {
			for id, job := range running {
				if keyPart(job.UniqueKey()) == keyPart(key) {
					return id
				}
			}
			return ""
		})
		some := func(states ...storage.State) (job storage.Job, ok bool) {
			u.tx(func(tx *storage.Tx) {
				page, err := tx.Writer().System().List(storage.JobFilter{States: states})
				if err != nil {
					rt.Fatal(err)
				}
				if ok = len(page.Jobs) > 0; ok {
					job = page.Jobs[rapid.IntRange(0, len(page.Jobs)-1).Draw(rt, "job")]
				}
			})
			return job, ok
		}
		begin := func(job storage.Job) bool { // as the engine does, not beside another one of its key
			for _, r := range running {
				if r.Unique.Key == job.Unique.Key && !job.Unique.PendingOnly {
					return false
				}
			}
			running[job.ID] = u.start(job.ID)
			return true
		}
		end := func(id storage.JobID, state storage.State) {
			u.end(running[id], storage.End{State: state, Due: u.now.Add(time.Second), Error: map[bool]*storage.JobError{true: errOops}[state != storage.StateSuccess], StartedAt: u.now, Reason: "unknown"})
			delete(running, id)
		}
		anyRunning := func() (storage.JobID, bool) {
			job, ok := some(storage.StateRunning)
			return job.ID, ok
		}
		ops := map[string]func(*rapid.T){
			"ask": func(rt *rapid.T) {
				unique := storage.Unique{
					Key:         rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key"),
					Policy:      rapid.SampledFrom([]storage.UniquePolicy{storage.UniqueKeep, storage.UniqueReplace, storage.UniqueThrottle, storage.UniqueRefuse}).Draw(rt, "policy"),
					PendingOnly: rapid.Bool().Draw(rt, "pending only"),
					MaxWait:     10 * time.Second,
				}
				switch unique.Policy {
				case storage.UniqueThrottle:
					unique.Every = 5 * time.Second
				case storage.UniqueKeep, storage.UniqueRefuse:
					unique.HeldFor = time.Duration(rapid.IntRange(0, 3).Draw(rt, "held for")) * time.Second
				}
				d := time.Duration(rapid.IntRange(0, 3).Draw(rt, "delay")) * time.Second
				function := rapid.SampledFrom(names).Draw(rt, "function")
				commit := rapid.Bool().Draw(rt, "commit")
				lost := errors.New("lost")
				u.tx(func(tx *storage.Tx) {
					_ = tx.JobWriter().Nested(func(w storage.JobWriter) error {
						_, err := w.Schedule(storage.Job{Function: function, Args: []byte(fmt.Sprint(u.now.Unix())), Due: u.now.Add(d), EnqueuedAt: u.now, Unique: &unique})
						if err != nil && !errors.Is(err, storage.ErrExists) {
							rt.Fatal(err)
						}
						if !commit {
							return lost
						}
						return nil
					})
				})
			},
			"start": func(rt *rapid.T) {
				if job, ok := some(storage.StatePending); !ok || !begin(job) {
					rt.Skip()
				}
			},
			"end": func(rt *rapid.T) {
				id, ok := anyRunning()
				if !ok {
					rt.Skip()
				}
				end(id, rapid.SampledFrom([]storage.State{storage.StateSuccess, storage.StatePending, storage.StateFailed, storage.StateHeld}).Draw(rt, "state"))
			},
			"cancel": func(rt *rapid.T) {
				job, ok := some(storage.StatePending, storage.StateRunning, storage.StateHeld)
				if !ok {
					rt.Skip()
				}
				u.tx(func(tx *storage.Tx) {
					if _, err := tx.JobWriter().CancelJob(job.ID); err != nil {
						rt.Fatal(err)
					}
				})
				delete(running, job.ID)
				delete(u.live, job.ID)
			},
			"hold": func(rt *rapid.T) {
				job, ok := some(storage.StatePending)
				if !ok {
					rt.Skip()
				}
				u.tx(func(tx *storage.Tx) {
					if _, err := tx.JobWriter().HoldJob(job.ID, "unknown"); err != nil {
						rt.Fatal(err)
					}
				})
			},
			"release": func(rt *rapid.T) {
				u.tx(func(tx *storage.Tx) {
					last, err := tx.LastHeld()
					if err == nil {
						_, _, err = tx.ReleaseHeld(last, 1, nil)
					}
					if err != nil {
						rt.Fatal(err)
					}
				})
			},
			"expire": func(rt *rapid.T) {
				u.tx(func(tx *storage.Tx) {
					if _, _, err := tx.ExpireHeld(u.now, 1); err != nil {
						rt.Fatal(err)
					}
				})
			},
			"retry": func(rt *rapid.T) {
				job, ok := some(storage.StateFailed, storage.StateHeld)
				if !ok {
					rt.Skip()
				}
				u.tx(func(tx *storage.Tx) {
					if _, err := tx.RetryDeadAt(job.ID, u.now); err != nil && !errors.Is(err, storage.ErrExists) {
						rt.Fatal(err)
					}
				})
			},
			"drop": func(rt *rapid.T) {
				job, ok := some(storage.StateFailed, storage.StateHeld)
				if !ok {
					rt.Skip()
				}
				u.tx(func(tx *storage.Tx) {
					if _, err := tx.DropDead(job.ID); err != nil {
						rt.Fatal(err)
					}
				})
			},
			"purge": func(rt *rapid.T) {
				u.tx(func(tx *storage.Tx) {
					if _, _, err := tx.PurgeKeys(u.now, 2); err != nil {
						rt.Fatal(err)
					}
				})
			},
			"clock": func(rt *rapid.T) {
				u.now = u.now.Add(time.Duration(rapid.IntRange(-4000, 6000).Draw(rt, "ms")) * time.Millisecond)
			},
			"": func(rt *rapid.T) {
				if err := u.s.Check(); err != nil {
					rt.Fatal(err)
				}
				u.tx(func(tx *storage.Tx) {
					pending := map[string]storage.JobID{}
					for job, err := range tx.Writer().System().All(storage.JobFilter{States: []storage.State{storage.StatePending, storage.StateHeld}}) {
						if err != nil {
							rt.Fatal(err)
						}
						if other := pending[job.Unique.Key]; other != "" {
							rt.Fatalf("jobs %s and %s are pending under one key", job.ID, other)
						}
						pending[job.Unique.Key] = job.ID
					}
				})
			},
		}
		rt.Repeat(ops)
		for {
			id, ok := anyRunning()
			if !ok {
				break
			}
			end(id, storage.StateSuccess)
		}
		for {
			job, ok := some(storage.StatePending, storage.StateHeld)
			if !ok {
				break
			}
			u.tx(func(tx *storage.Tx) {
				if _, err := tx.JobWriter().CancelJob(job.ID); err != nil {
					rt.Fatal(err)
				}
			})
		}
		u.now = u.now.Add(time.Minute)
		u.tx(func(tx *storage.Tx) {
			if _, _, err := tx.PurgeKeys(u.now, 100); err != nil {
				rt.Fatal(err)
			}
		})
		if n := u.s.KeysOf('y'); n != 0 {
			rt.Fatalf("%d rows of unique keys are left", n)
		}
	})
}
