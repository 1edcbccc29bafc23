package sample_test

import (
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// TestASurveyIsClosedOnce: when each of a thousand has answered or will not, over a crash in the
// middle; one of none at once.
func TestASurveyIsClosedOnce(t *testing.T) {
	type started struct{ SurveyID storage.ID[sample.Survey] }
	inWorld(t, func(w *world) {
		get := func(s started) sample.Survey {
			return call[sample.Survey](w, "surveys:get", `{"surveyId":%q}`, s.SurveyID)
		}
		all := call[started](w, "surveys:start", `{"question":"Tea?","to":1000}`)
		w.crash()
		w.pass(100 * time.Millisecond)
		if got := get(all); !got.ClosedAt.IsZero() {
			t.Errorf("it is closed while some are asked again: %+v", got)
		}
		w.crash()
		w.pass(time.Minute)
		if got := get(all); got.Asked != 1000 || got.Answered != 900 || got.Silent != 100 || got.ClosedAt.IsZero() {
			t.Errorf("the survey is %+v", got)
		}
		empty := call[started](w, "surveys:start", `{"question":"Tea?","to":0}`)
		w.pass(time.Second)
		if got := get(empty); got.Answered != 0 || got.ClosedAt.IsZero() {
			t.Errorf("the survey of none is %+v", got)
		}
		w.refused("invalid_argument", "to is", "surveys:start", `{"question":"Tea?","to":1001}`)
	})
}
