package sample_test

import (
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// TestPhotosGoDownTheirChain: each job is told what the one before has made, over a crash too;
// and the last one why there is nothing, if the first has failed.
func TestPhotosGoDownTheirChain(t *testing.T) {
	type added struct {
		PhotoID storage.ID[sample.Photo]
		JobID   storage.JobID
	}
	inWorld(t, func(w *world) {
		add := func(name string) added { return call[added](w, "photos:add", `{"name":%q}`, name) }
		want := func(p added, state, text string) {
			t.Helper()
			if got := call[sample.Photo](w, "photos:get", `{"photoId":%q}`, p.PhotoID); got.State != state || got.Text != text {
				t.Errorf("the photo is %+v, want %s: %q", got, state, text)
			}
		}
		cat := add("cat.png")
		w.crash()
		dog := add("dog.png")
		note := add("note.txt")
		w.pass(time.Second)
		w.crash()
		w.pass(time.Minute)
		want(cat, sample.PhotoShown, "cat, 640 by 480")
		want(dog, sample.PhotoShown, "dog, 640 by 480")
		want(note, sample.PhotoRefused, "note.txt is no picture")
		if job := w.job(cat.JobID); job.State != storage.StateSuccess {
			t.Errorf("the first job is %s", job.State)
		}
		w.refused("invalid_argument", "name", "photos:add", `{"name":""}`)
	})
}
