package storage_test

import (
	"slices"
	"testing"
	"time"

	"carillon/storage"
)

// erasOf makes a list of n eras that go on from those on record.
func erasOf(s *storage.Store, n int) []storage.Era {
	eras := slices.Clone(s.Eras())
	for range n {
		if len(eras) > 0 {
			eras[len(eras)-1].Last = testNow
		}
		eras = append(eras, storage.Era{
			ID: s.NextEra(), Began: testNow.Add(time.Duration(len(eras)) * time.Hour), Offset: time.Duration(len(eras)) * time.Minute, Step: -time.Second,
		})
		s.BeginEra(eras)
	}
	return eras
}

// G15: the high-water mark is of the era that lasts. A change set that was begun in
// an earlier one does not raise it, and what a volume holds of an era it knows of.
func TestG15_TheHighWaterMarkIsOfTheEraThatLasts(t *testing.T) {
	dir := t.TempDir()
	opts := storage.Options{Volumes: 2}
	s := mustOpen(t, dir, opts)
	put := func(app storage.AppID, era storage.EraID, at time.Time) {
		t.Helper()
		tx := mustApp(t, s, app).BeginIn(era, at)
		mustInsert(t, tx.JobWriter(), storage.Job{EnqueuedAt: at, Era: era, AskedEra: era})
		mustCommit(t, tx)
	}
	want := func(at time.Time, eras []storage.Era) {
		t.Helper()
		for range 2 {
			if got := s.HighWater(); !got.Equal(at) {
				t.Errorf("the high-water mark is %v, want %v", got, at)
			}
			if got := s.Eras(); !slices.Equal(got, eras) {
				t.Errorf("the eras are\n%+v, want\n%+v", got, eras)
			}
			mustClose(t, s)
			s = mustOpen(t, dir, opts)
		}
	}
	put("a", 0, testNow.Add(time.Hour)) // by a release that knew no eras
	first := erasOf(s, 1)
	put("a", first[0].ID, testNow.AddDate(9, 0, 0))
	put("a", 0, testNow.Add(time.Hour))
	put("b", first[0].ID, testNow.AddDate(10, 0, 0)) // on the other volume
	want(testNow.AddDate(10, 0, 0), first)
	second := erasOf(s, 1)
	put("a", first[0].ID, testNow.AddDate(20, 0, 0)) // was begun before the step
	put("a", second[1].ID, testNow.Add(time.Minute))
	want(second[1].Began, second) // it has not come so far yet
	put("a", second[1].ID, second[1].Began.Add(time.Minute))
	want(second[1].Began.Add(time.Minute), second)
	mustRead(t, mustApp(t, s, "b"), func(r storage.Reader) {
		page, err := r.System().List(storage.JobFilter{})
		if err != nil || len(page.Jobs) != 1 || page.Jobs[0].Era != first[0].ID || page.Jobs[0].AskedEra != first[0].ID {
			t.Errorf("%+v, %v", page.Jobs, err)
		}
	})
}

// An era that no change set was committed in leaves no trace, and one that a
// mark was set for is on record.
func TestG15_ErasOnRecord(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	kept := erasOf(s, 1)
	id := kept[0].ID
	if err := s.SetMark(storage.EraSettled, id); err != nil {
		t.Fatal(err)
	}
	erasOf(s, 1)
	mustClose(t, s)
	s = mustOpen(t, dir, storage.Options{})
	if got := s.Eras(); !slices.Equal(got, kept) {
		t.Errorf("%+v, want %+v", got, kept)
	}
	for mark, want := range map[storage.EraMark]storage.EraID{storage.EraSettled: id, storage.EraAccepted: 0, storage.EraRolledOut: 0} {
		if got, err := s.Mark(mark); err != nil || got != want {
			t.Errorf("%s up to %d, %v, want %d", mark, got, err, want)
		}
	}
	if next := s.NextEra(); next <= id || next>>16 != id>>16+1 {
		t.Errorf("after era %d comes %d", id, next)
	}
	eras := erasOf(s, 70)
	if got := s.Eras(); !slices.Equal(got, eras[len(eras)-64:]) {
		t.Errorf("%d eras are kept, from %d on", len(got), got[0].ID)
	}
}
