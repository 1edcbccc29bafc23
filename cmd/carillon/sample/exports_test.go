package sample_test

import (
	"slices"
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// TestExportsOfAUserRunOneAtATime: and those of others meanwhile.
func TestExportsOfAUserRunOneAtATime(t *testing.T) {
	inWorld(t, func(w *world) {
		request := func(user string) storage.ID[sample.Export] {
			return call[storage.ID[sample.Export]](w, "exports:request", `{"userId":%q}`, user)
		}
		of := func(id storage.ID[sample.Export]) sample.Export {
			return call[sample.Export](w, "exports:get", `{"exportId":%q}`, id)
		}
		ada := []storage.ID[sample.Export]{request("ada"), request("ada"), request("ada")}
		ben := request("ben")
		w.pass(2*time.Second + time.Millisecond)
		if of(ben).EndedAt.IsZero() {
			t.Error("ben waits for ada")
		}
		w.crash()
		w.pass(time.Minute)
		var all []sample.Export
		for _, id := range ada {
			all = append(all, of(id))
		}
		slices.SortFunc(all, func(a, b sample.Export) int { return a.BeganAt.Compare(b.BeganAt) })
		for i, e := range all {
			if e.EndedAt.IsZero() {
				t.Fatalf("%d of 3 exports have ended", i)
			}
			if i > 0 && e.BeganAt.Before(all[i-1].EndedAt) {
				t.Errorf("one began at %v, and the one before ended at %v", e.BeganAt, all[i-1].EndedAt)
			}
		}
		w.refused("invalid_argument", "userId", "exports:request", `{"userId":""}`)
	})
}
