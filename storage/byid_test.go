package storage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// byID is all jobs of a listing by id, read in pages.
func byID(t *testing.T, app *storage.App, dead bool, after storage.JobID, limit int) (ids []storage.JobID) {
	t.Helper()
	snap, err := app.Snapshot(testNow)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for more := true; more; {
		page, err := snap.Reader().System().ByID(dead, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Jobs) > limit || page.More && page.Next <= after {
			t.Fatalf("a page of %d jobs after %s goes on after %s", len(page.Jobs), after, page.Next)
		}
		for _, job := range page.Jobs {
			if job.Error != nil && job.Error.Code == "data_loss" {
				t.Fatal(job.ID, job.Error)
			}
			ids = append(ids, job.ID)
		}
		after, more = page.Next, page.More
	}
	return ids
}

// TestG42_ListingByID: a listing by id has the jobs that have not ended, or the dead ones, each once and in the
// order of their ids, wherever a page begins: of ids that are chosen and of ones that are minted, of jobs
// that have moved since, that are claimed, or whose id an ended one had before.
func TestG42_ListingByID(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	var open, dead []storage.JobID
	insert := func(id string, end storage.State) {
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			id := mustInsert(t, tx.JobWriter(), storage.Job{ID: storage.JobID(id), Function: "a:f", Due: testNow.Add(time.Duration(len(open)%7) * time.Second)})
			switch end {
			case storage.StateFailed:
				mustEnd(t, tx, id, storage.End{State: end, Error: &storage.JobError{Code: "internal"}})
				dead = append(dead, id)
			case storage.StateSuccess:
				mustEnd(t, tx, id, storage.End{State: end})
			case storage.StatePending: // it is tried again
				mustEnd(t, tx, id, storage.End{State: end, Due: testNow.Add(time.Hour), Error: &storage.JobError{Code: "internal"}})
				open = append(open, id)
			default:
				open = append(open, id)
			}
		})
	}
	states := []storage.State{"", storage.StateSuccess, storage.StatePending, storage.StateFailed, ""}
	for i := range 40 {
		insert("", states[i%len(states)])
		insert(fmt.Sprintf("%c%d", "Jjabkz_09"[i%9], i), states[i/2%len(states)])
	}
	insert("again", storage.StateSuccess)
	insert("again", "")
	insert("j", "")
	insert(strings.Repeat("j", 64), "")
	slices.Sort(open)
	slices.Sort(dead)
	for _, limit := range []int{1, 7, 100} {
		if got := byID(t, app, false, "", limit); !slices.Equal(got, open) {
			t.Errorf("pages of %d: %q, want %q", limit, got, open)
		}
		if got := byID(t, app, true, "", limit); !slices.Equal(got, dead) {
			t.Errorf("dead, pages of %d: %q, want %q", limit, got, dead)
		}
	}
	first := slices.IndexFunc(open, func(id storage.JobID) bool { return len(id) == 25 && id[0] == 'j' })
	minted := string(open[first])
	for _, after := range []string{"0", "Z", "_", "j", "j0", "j00", "j0z", "j0-", "j0A", "jz", "k", "zz", minted[:9], minted[:24] + "z", minted + "0", minted[:12] + "A", minted[:12] + "zz", strings.Repeat("v", 64)} {
		at := slices.IndexFunc(open, func(id storage.JobID) bool { return string(id) > after })
		if at < 0 {
			at = len(open)
		}
		if got := byID(t, app, false, storage.JobID(after), 9); !slices.Equal(got, open[at:]) {
			t.Errorf("after %s: %q, want %q", after, got, open[at:])
		}
	}
	snap, err := app.Snapshot(testNow)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for _, limit := range []int{-1, 0, 1001} {
		if _, err := snap.Reader().System().ByID(false, "", limit); err == nil {
			t.Errorf("a limit of %d is taken", limit)
		}
	}
	job, _, err := snap.Reader().System().Get("j")
	if err != nil || job.Instance != "" {
		t.Error(job, err)
	}
}

// TestInstanceIsKept: what a client says of the instance and the shard is stored, up to its bound.
func TestInstanceIsKept(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	most := strings.Repeat("x", storage.MaxInstance)
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		id := mustInsert(t, tx.JobWriter(), storage.Job{Function: "a:f", Due: testNow, Instance: most, ShardKey: "é"})
		job, ok, err := tx.JobWriter().System().Get(id)
		if !ok || err != nil || job.Instance != most || job.ShardKey != "é" {
			t.Errorf("%+v, %v, %v", job, ok, err)
		}
		for _, bad := range []storage.Job{{Instance: most + "x"}, {ShardKey: most + "x"}, {ShardKey: "\xff"}} {
			bad.Function, bad.Due = "a:f", testNow
			if _, err := tx.JobWriter().InsertJob(bad); err == nil {
				t.Errorf("%d and %d bytes are taken", len(bad.Instance), len(bad.ShardKey))
			}
		}
	})
}
