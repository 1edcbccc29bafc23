package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// What a store of format 2 has come to have since the fixture results: groups, checkpoints and
// progress, and attempts that end from outside.

// hashNo is the hash of a token.
func hashNo(n byte) []byte { return bytes.Repeat([]byte{n}, storage.TokenHash) }

// makeGroupsFixture makes the store whose files are kept.
func makeGroupsFixture(tb testing.TB, dir string) {
	tb.Helper()
	s := mustOpen(tb, dir, withDingbats)
	app := mustApp(tb, s, "acme")
	follow := storage.Job{Function: "bells:rest", Args: []byte(`"Große Glocke"`), Due: testNow, Pool: "tower", Priority: 2, Tags: []string{"loud"}}
	group := func(w storage.JobWriter) storage.GroupID {
		g, err := w.NewGroup(follow)
		must(tb, err)
		return g
	}
	mustTx(tb, app, testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		schedule := func(job storage.Job, ids ...storage.JobID) {
			for _, id := range ids {
				job.ID, job.Function, job.Due, job.EnqueuedAt = id, "bells:ring", testNow, testNow
				mustInsert(tb, w, job)
			}
		}
		end := func(id storage.JobID, state storage.State) {
			end := storage.End{State: state, StartedAt: testNow}
			if state == storage.StateFailed {
				end.Error = errOops
			}
			mustEnd(tb, tx, id, end)
		}
		open, sealed, stopped, over := group(w), group(w), group(w), group(w)
		schedule(storage.Job{Group: open}, "open", "open-held", "open-dead")
		if ok, err := w.HoldJob("open-held", "no such bell"); !ok || err != nil {
			tb.Fatal(ok, err)
		}
		end("open-dead", storage.StateFailed)

		schedule(storage.Job{Group: sealed}, "sealed-canceled", "sealed-dead")
		schedule(storage.Job{Group: sealed, NotAfter: testNow}, "sealed-expired")
		then := storage.Job{Function: "bells:tell", Args: []byte("1"), Group: sealed}
		schedule(storage.Job{Group: sealed, Then: &then}, "sealed-rang", "sealed-last")
		must(tb, w.SealGroup(sealed))
		end("sealed-rang", storage.StateSuccess) // what follows it is a member, too
		end("sealed-dead", storage.StateFailed)
		_, err := w.CancelJob("sealed-canceled")
		must(tb, err)

		schedule(storage.Job{Group: stopped}, "stopped")
		mustClaim(tb, tx, "stopped")
		must(tb, w.StopGroup(stopped))
		must(tb, w.SealGroup(over)) // it has no member

		schedule(storage.Job{}, "saved", "saved-held", "saved-dead", "saved-claimed", "asked", "asked-first", "said", "said-no", "over", "over-dead")
		u := &storage.Unique{Key: "void", Policy: storage.UniqueReplace}
		schedule(storage.Job{Unique: u}, "void")
		again := storage.End{State: storage.StatePending, Due: testNow.Add(time.Minute), Error: errOops}
		for i, end := range []storage.End{again, {State: storage.StateHeld, Reason: "no such bell"}, {State: storage.StateFailed, Error: errOops}, again} {
			id := []storage.JobID{"saved", "saved-held", "saved-dead", "void"}[i]
			job := mustClaim(tb, tx, id)
			save(tb, tx, &job, fmt.Sprintf(`{"of":%q}`, id), true)
			_, err := tx.EndAttempt(job, end)
			must(tb, err)
		}
		if done, err := w.Schedule(storage.Job{Function: "bells:ring", Args: []byte("2"), Due: testNow.Add(time.Minute), Unique: u}); err != nil || done.ID != "void" {
			tb.Fatal(done, err)
		}
		outside := storage.End{State: storage.StatePending, Outside: true, StartedAt: testNow, Due: testNow.Add(time.Hour), Token: hashNo(1)}
		asked := mustClaim(tb, tx, "asked")
		save(tb, tx, &asked, `{"of":"asked"}`, true)
		_, err = tx.EndAttempt(asked, outside)
		must(tb, err)
		first := mustClaim(tb, tx, "asked-first") // its first attempt was, and the second is
		_, err = tx.EndAttempt(first, outside)
		must(tb, err)
		first, _, _, err = tx.Unended("asked-first")
		must(tb, err)
		_, err = tx.EndAttempt(first, storage.End{State: storage.StatePending, Due: testNow, Error: errOops})
		must(tb, err)
		outside.Token = hashNo(2)
		mustEnd(tb, tx, "asked-first", outside)
		mustEnd(tb, tx, "over", storage.End{State: storage.StateSuccess, StartedAt: testNow, Token: hashNo(3)})
		mustEnd(tb, tx, "over-dead", storage.End{State: storage.StateFailed, StartedAt: testNow, Error: errOops, Token: hashNo(4)})
	})
	mustTx(tb, app, testNow.Add(time.Second), func(tx *storage.Tx) {
		n, _, _, err := tx.ExpireLate(testNow.Add(time.Second), storage.LateCursor{}, 10, func(*storage.Job) string { return "too late" })
		if n != 1 || err != nil {
			tb.Fatal(n, err)
		}
	})
	mustClose(tb, s)
	s = mustOpen(tb, dir, withDingbats)
	mustTx(tb, mustApp(tb, s, "acme"), testNow.Add(2*time.Second), func(tx *storage.Tx) { // in the log
		claimed := mustClaim(tb, tx, "saved-claimed")
		save(tb, tx, &claimed, `{"of":"saved-claimed"}`, true)
		if ok, err := tx.SaveProgress(&claimed, storage.Progress{Done: 3, Total: 12, Note: "Große Glocke", At: testNow}); !ok || err != nil {
			tb.Fatal(ok, err)
		}
		must(tb, tx.AnswerClaimed(mustClaim(tb, tx, "said"), hashNo(5), storage.Answer{Result: []byte(`{"rings":12}`)}))
		must(tb, tx.AnswerClaimed(mustClaim(tb, tx, "said-no"), hashNo(6), storage.Answer{Error: errOops, Permanent: true, NotKept: &storage.NotKept{Bytes: 7, Reason: "why"}}))
	})
	if err := s.Abort(); err != nil {
		tb.Fatal(err)
	}
}

// groupsContents is contents, with what of these features that does not tell.
func groupsContents(tb testing.TB, s *storage.Store) string {
	tb.Helper()
	var b strings.Builder
	b.WriteString(contents(tb, s))
	app, err := s.App("acme")
	must(tb, err)
	fmt.Fprintf(&b, "checkpoints %d, arguments %d\n", app.CheckpointBytes(), app.ArgBytes())
	snap, err := app.Snapshot(testNow)
	must(tb, err)
	defer snap.Close()
	system := snap.Reader().System()
	groups, err := system.Groups(storage.GroupFilter{})
	must(tb, err)
	for _, g := range groups {
		fmt.Fprintf(&b, "group %d: sealed %t, canceled %t, pending %d, ends %+v, created %d", g.ID, g.Sealed, g.Canceled, g.Pending, g.Ends, g.CreatedAt.UnixMilli())
		if g.Ended() {
			fmt.Fprintf(&b, ", ended %d, follow-up %s", g.EndedAt.UnixMilli(), g.FollowUp)
		}
		b.WriteByte('\n')
	}
	for listed, err := range system.All(storage.JobFilter{}) {
		must(tb, err)
		job := mustJob(tb, snap.Reader(), listed.ID)
		fmt.Fprintf(&b, "%s: %s, group %d", job.ID, job.State, job.Group)
		if job.GroupOutcome != nil {
			fmt.Fprintf(&b, ", follows %+v in pool %q with priority %d and tags %q", *job.GroupOutcome, job.Pool, job.Priority, job.Tags)
		}
		if job.Then != nil {
			fmt.Fprintf(&b, ", then a member of group %d", job.Then.Group)
		}
		saved, err := snap.Checkpoint(&job)
		must(tb, err)
		if fmt.Fprintf(&b, ", saved %s of %d", saved, job.CheckpointSize); job.Progress != nil {
			fmt.Fprintf(&b, ", come %d of %d, %q, at %d", job.Progress.Done, job.Progress.Total, job.Progress.Note, job.Progress.At.UnixMilli())
		}
		for n := range byte(10) {
			if job.HasToken(hashNo(n)) {
				fmt.Fprintf(&b, ", token %d, outside %t", n, job.PendingOutside())
			}
		}
		if a := job.Answer(); a != nil {
			fmt.Fprintf(&b, ", answered %s %+v %+v %t", a.Result, a.NotKept, a.Error, a.Permanent)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestG26_FormatV2WithGroups: what a store has of groups, checkpoints and ends from outside is
// read, from its files, its log and its export, and goes on.
func TestG26_FormatV2WithGroups(t *testing.T) {
	for _, s := range mustFixture(t, "groups", makeGroupsFixture, groupsContents) {
		app := mustApp(t, s, "acme")
		groups := map[storage.JobID]storage.GroupID{} // of a member
		mustRead(t, app, func(r storage.Reader) {
			for _, id := range []storage.JobID{"open", "sealed-last", "stopped"} {
				groups[id] = mustJob(t, r, id).Group
			}
		})
		mustTx(t, app, testNow.Add(time.Minute), func(tx *storage.Tx) {
			w := tx.JobWriter()
			for _, id := range []storage.JobID{"sealed-last", "stopped"} {
				if _, err := w.InsertJob(storage.Job{Function: "bells:ring", Due: testNow, Group: groups[id]}); !errors.Is(err, storage.ErrSealed) {
					t.Errorf("a member more beside %s: %v", id, err)
				}
			}
			mustInsert(t, w, storage.Job{ID: "open-new", Group: groups["open"]})
			must(t, w.SealGroup(groups["open"]))
			if _, ok, err := w.DropHeld("open-held"); !ok || err != nil {
				t.Errorf("dropping a held member: %v, %v", ok, err)
			}
			success := storage.End{State: storage.StateSuccess, StartedAt: testNow}
			for _, id := range []storage.JobID{"open", "open-new", "sealed-last"} {
				mustEnd(t, tx, id, success)
			}
			for job, err := range w.System().All(storage.JobFilter{Group: groups["sealed-last"], States: []storage.State{storage.StatePending}}) {
				must(t, err)
				mustEnd(t, tx, job.ID, success)
			}
			claimed, err := tx.Claimed()
			must(t, err)
			for _, job := range claimed {
				switch answer := job.Answer(); {
				case job.ID == "saved-claimed":
					save(t, tx, &job, `{"of":"more"}`, true)
				case answer == nil:
					_, err = tx.EndAttempt(job, success)
				case answer.Error == nil:
					_, err = tx.EndAttempt(job, storage.End{State: storage.StateSuccess, StartedAt: testNow, Result: answer.Result})
				default:
					_, err = tx.EndAttempt(job, storage.End{State: storage.StateFailed, StartedAt: testNow, Error: answer.Error})
				}
				must(t, err)
			}
			job, claimedYet, ok, err := tx.Unended("asked")
			if err != nil || !ok || claimedYet || !job.PendingOutside() || !job.HasToken(hashNo(1)) {
				t.Fatalf("asked is %+v, claimed %t, %t, %v", job, claimedYet, ok, err)
			}
			_, err = tx.EndAttempt(job, storage.End{State: storage.StateSuccess, Result: []byte("true")})
			must(t, err)
			if ok, err := tx.RetryDead("saved-dead"); !ok || err != nil {
				t.Errorf("retry a dead job: %v, %v", ok, err)
			}
		})
		wantGroup := map[storage.JobID]storage.GroupEnds{
			"open": {Success: 2, Failed: 1, Canceled: 1}, "sealed-last": {Success: 4, Failed: 1, Canceled: 1, Expired: 1}, "stopped": {Success: 1},
		}
		if n, want := app.CheckpointBytes(), int64(len(`{"of":"saved"}{"of":"saved-held"}{"of":"saved-dead"}{"of":"void"}{"of":"more"}`)); n != want {
			t.Errorf("the checkpoints have %d bytes, want %d", n, want)
		}
		mustRead(t, app, func(r storage.Reader) {
			follows := map[storage.GroupID]int{}
			for job, err := range r.System().All(storage.JobFilter{}) {
				if must(t, err); job.GroupOutcome != nil {
					follows[job.GroupOutcome.Group]++
				}
			}
			for id, want := range wantGroup {
				g, _, err := r.System().Group(groups[id])
				must(t, err)
				if !g.Ended() || g.Ends != want || follows[g.ID] != 1 || mustJob(t, r, g.FollowUp).GroupOutcome.GroupEnds != want {
					t.Errorf("the group of %s is %+v with %d follow-ups, want %+v", id, g, follows[g.ID], want)
				}
			}
			for id, want := range map[storage.JobID]string{"said": `{"rings":12}`, "asked": "true"} {
				if job := mustJob(t, r, id); string(job.Result) != want {
					t.Errorf("the result of %s is %s", id, job.Result)
				}
			}
			if job := mustJob(t, r, "said-no"); job.State != storage.StateFailed || *job.Error != *errOops {
				t.Errorf("the job whose end was a failure is %+v", job)
			}
		})
		must(t, s.Check())
	}
}
