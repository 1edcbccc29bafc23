package storage_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"carillon/storage"
)

// TestSurveyNamesWhatStandsOut: of all apps, in whatever order and volume they lie, those with the most to do, those with the
// most that needs a look, and those that are paused, so many of each; and the sums are those of all.
func TestSurveyNamesWhatStandsOut(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 3})
	const apps = 12
	for i := range apps {
		mustTx(t, mustApp(t, s, storage.AppID(fmt.Sprintf("app-%02d", i))), testNow, func(tx *storage.Tx) {
			w := tx.JobWriter()
			for range i * 5 % apps {
				mustInsert(t, w, storage.Job{Function: "a:b", Due: testNow})
			}
			for n := range i * 7 % apps % 4 {
				id := storage.JobID(fmt.Sprint("dead-", n))
				mustInsert(t, w, storage.Job{ID: id, Function: "a:b", Due: testNow})
				mustEnd(t, tx, id, storage.End{State: storage.StateFailed, StartedAt: testNow, Error: errOops})
			}
			if i%4 == 3 {
				mustInsert(t, w, storage.Job{ID: "held", Function: "a:b", Due: testNow})
				_, err := w.HoldJob("held", "no such function")
				must(t, err)
				must(t, w.PutPause(storage.Pause{Of: storage.Scope{App: true}, By: "ann", Since: testNow}))
			}
		})
	}
	page, err := s.ListApps(storage.AppFilter{})
	must(t, err)
	var sum storage.Depth
	for _, a := range page.Apps {
		sum.Apps, sum.Pending, sum.Held, sum.Dead, sum.History = sum.Apps+1, sum.Pending+a.Pending, sum.Held+a.Held, sum.Dead+a.Dead, sum.History+a.Finished
	}
	first := func(most int, weigh func(storage.AppInfo) int) (names []storage.AppID) {
		list := slices.DeleteFunc(slices.Clone(page.Apps), func(a storage.AppInfo) bool { return weigh(a) == 0 })
		slices.SortStableFunc(list, func(a, b storage.AppInfo) int { return cmp.Compare(weigh(b), weigh(a)) })
		for _, a := range list[:min(len(list), most)] {
			names = append(names, a.ID)
		}
		return names
	}
	names := func(list []storage.AppInfo) (names []storage.AppID) {
		for _, a := range list {
			names = append(names, a.ID)
		}
		return names
	}
	for _, most := range []int{0, 1, 2, 3, 5, apps + 1} {
		sv := s.Survey(most)
		for what, is := range map[string]struct {
			got  []storage.AppInfo
			want []storage.AppID
		}{
			"busy":     {sv.Busy, first(most, func(a storage.AppInfo) int { return a.Pending })},
			"troubled": {sv.Troubled, first(most, func(a storage.AppInfo) int { return a.Dead + a.Held })},
			"paused": {sv.Paused, first(most, func(a storage.AppInfo) int {
				if a.Paused {
					return 1
				}
				return 0
			})},
		} {
			if got := names(is.got); !slices.Equal(got, is.want) {
				t.Errorf("the %d that are %s are %v, want %v", most, what, got, is.want)
			}
		}
		if sv.Depth != sum {
			t.Errorf("the sums are %+v, want %+v", sv.Depth, sum)
		}
	}
}
