package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"carillon/storage"
)

// mustGroup makes a group with the members.
func mustGroup(tb testing.TB, w storage.JobWriter, members ...storage.JobID) storage.GroupID {
	tb.Helper()
	g, err := w.NewGroup(storage.Job{Function: "a:end", Args: []byte(`"end"`), Due: testNow})
	must(tb, err)
	for _, id := range members {
		mustInsert(tb, w, storage.Job{ID: id, Group: g})
	}
	return g
}

// TestG32_GroupsHaveBounds: as many as may be, and one more, which changes nothing; of groups that
// have not ended, of members that have and that have not, and of bytes of arguments.
func TestG32_GroupsHaveBounds(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		g := mustGroup(t, w, "first")
		must(t, w.SetGroupEnds(g, storage.GroupEnds{Success: storage.MaxGroupMembers - 3, Expired: 1}))
		mustInsert(t, w, storage.Job{ID: "last", Group: g})
		if _, err := w.InsertJob(storage.Job{Function: "a:b", Due: testNow, Group: g}); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("one member more: %v", err)
		}
		app.SetMaxArgBytes(10)
		mustGroup(t, w)
		if _, err := w.NewGroup(storage.Job{Function: "a:end", Args: []byte(`"x"`), Due: testNow}); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("with more arguments than there may be: %v", err)
		}
		const many = storage.MaxGroups - 1200
		w.CountGroups(many)
		for range 1200 - 2 {
			if _, err := w.NewGroup(storage.Job{Function: "a:end", Due: testNow}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.NewGroup(storage.Job{Function: "a:end", Due: testNow}); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("one group more: %v", err)
		}
		must(t, w.SealGroup(g+3)) // it ends: there is room for another
		if _, err := w.NewGroup(storage.Job{Function: "a:end", Due: testNow}); err != nil {
			t.Error(err)
		}
		w.CountGroups(-many)
	})
	mustRead(t, app, func(r storage.Reader) {
		for _, limit := range []int{-1, 1001} {
			if _, err := r.System().Groups(storage.GroupFilter{Limit: limit}); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("a page of %d: %v", limit, err)
			}
		}
		first, err := r.System().Groups(storage.GroupFilter{Limit: 1000})
		must(t, err)
		next, err := r.System().Groups(storage.GroupFilter{After: first[999].ID})
		must(t, err)
		if len(first) != 1000 || len(next) != 100 || next[0].ID != first[999].ID+1 {
			t.Errorf("pages of %d and %d, the second begins with %+v", len(first), len(next), next[0])
		}
	})
}

// TestG32_GroupsArePurgedAsTheyEnded: those that have ended before the instant, and those that are
// too many; what is found by the look at apps that sleep.
func TestG32_GroupsArePurgedAsTheyEnded(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	var ids []storage.GroupID
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for range 4 {
			ids = append(ids, mustGroup(t, w))
		}
	})
	for i, n := range []int{2, 0, 3} { // the second of them stays open
		mustTx(t, app, testNow.Add(time.Duration(i)*time.Hour), func(tx *storage.Tx) { must(t, tx.JobWriter().SealGroup(ids[n])) })
	}
	left := func() (left []storage.GroupID) {
		mustRead(t, app, func(r storage.Reader) {
			all, err := r.System().Groups(storage.GroupFilter{})
			must(t, err)
			for _, g := range all {
				left = append(left, g.ID)
			}
		})
		return left
	}
	for _, tt := range []struct {
		before      time.Time
		keep, limit int
		want        []storage.GroupID
	}{
		{testNow, 3, 10, ids},
		{testNow.Add(time.Millisecond), 3, 10, []storage.GroupID{ids[0], ids[1], ids[3]}},
		{time.Time{}, 2, 10, []storage.GroupID{ids[0], ids[1], ids[3]}},
		{time.Time{}, 1, 10, []storage.GroupID{ids[1], ids[3]}},
		{testNow.Add(time.Hour * 3), 1, 0, []storage.GroupID{ids[1], ids[3]}},
		{testNow.Add(time.Hour * 3), 1, 1, []storage.GroupID{ids[1]}},
	} {
		found, _, err := s.Expired(storage.ExpiredCursor{}, storage.Expiry{History: tt.before, KeepFinished: tt.keep, KeepDead: -1}, 10)
		must(t, err)
		was := len(left())
		mustTx(t, app, testNow.Add(3*time.Hour), func(tx *storage.Tx) {
			_, _, err := tx.PurgeGroups(tt.before, tt.keep, tt.limit)
			must(t, err)
		})
		if got := left(); !slices.Equal(got, tt.want) || len(found) != min(1, was-len(got)) && tt.limit > 0 {
			t.Errorf("before %v, %d at most: left are %v, want %v; found were %v", tt.before, tt.keep, got, tt.want, found)
		}
	}
}

// TestG32_AMemberOfALostGroupEnds: in each way, though the record of its group cannot be read, which
// hurts the group alone; so does a follow-up that cannot.
func TestG32_AMemberOfALostGroupEnds(t *testing.T) {
	for _, lost := range []string{"group", "follow-up"} {
		s := mustOpenUnchecked(t)
		app := mustApp(t, s, "acme")
		var g storage.GroupID
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			g = mustGroup(t, w, "a", "b", "c")
			must(t, w.SealGroup(g))
		})
		mustEdit(t, s, 'G', func(value []byte) []byte {
			if follows := len(value) > 20; follows == (lost == "follow-up") {
				return []byte("x")
			}
			return value
		})
		must(t, app.Reload())
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			mustEnd(t, tx, "a", storage.End{State: storage.StateSuccess})
			_, err := tx.JobWriter().CancelJob("b")
			must(t, err)
			mustEnd(t, tx, "c", storage.End{State: storage.StateFailed, Error: errOops})
		})
		mustRead(t, app, func(r storage.Reader) {
			for id, state := range map[storage.JobID]storage.State{"a": storage.StateSuccess, "b": storage.StateCanceled, "c": storage.StateFailed} {
				if job := mustJob(t, r, id); job.State != state {
					t.Errorf("%s: %s is %s", lost, id, job.State)
				}
			}
			group, _, err := r.System().Group(g)
			if lost == "group" && !errors.Is(err, storage.ErrCorrupt) || lost != "group" && (err != nil || !group.Ended() || group.FollowUp != "") {
				t.Errorf("%s: the group is %+v, %v", lost, group, err)
			}
		})
		if err := s.Check(); lost == "group" && !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("check: %v", err)
		}
	}
}

// TestG32_TheCheckCountsMembers: a group that counts others than there are, or has ended and has
// not, is damage.
func TestG32_TheCheckCountsMembers(t *testing.T) {
	for i, ends := range []bool{false, true} {
		s := mustOpenUnchecked(t)
		app := mustApp(t, s, "acme")
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			g := mustGroup(t, w, "a", "b")
			must(t, w.SealGroup(g))
		})
		must(t, s.Check())
		mustEdit(t, s, 'G', func(value []byte) []byte {
			if len(value) > 20 {
				return value
			}
			record, err := storage.EditGroup(value, func(g *storage.Group) {
				if g.Pending--; ends {
					g.EndedAt = testNow
				}
			})
			must(t, err)
			return record
		})
		if err := s.Check(); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("%s: %v", fmt.Sprint(i), err)
		}
	}
}
