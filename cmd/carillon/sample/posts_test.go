package sample_test

import (
	"strings"
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
)

func TestPublishNotifies(t *testing.T) {
	inWorld(t, func(w *world) {
		post := call[string](w, "posts:create", `{"title":"Hello"}`)
		list := func() []sample.Notification {
			return call[[]sample.Notification](w, "notifications:list", `{"postId":%q}`, post)
		}
		published := time.Now()
		job := call[jobID](w, "posts:publish", `{"postId":%q}`, post).JobID
		w.pass(30*time.Second - time.Millisecond)
		if got := list(); len(got) != 0 {
			t.Fatalf("notified too early: %v", got)
		}
		if got := w.job(job); got.State != storage.StatePending || got.Function != "notifications:notifySubscribers" ||
			!got.ScheduledFor.Equal(published.Add(30*time.Second)) {
			t.Errorf("before: %+v", got)
		}
		w.pass(time.Second)
		got := list()
		if len(got) != 1 || got[0].Key != job || string(got[0].PostID) != post || got[0].Title != "Hello" ||
			got[0].SentAt.Before(published.Add(30*time.Second)) {
			t.Errorf("notified %+v, want once by %s", got, job)
		}
		if got := w.job(job); got.State != storage.StateSuccess || got.Attempts != 1 {
			t.Errorf("after: %+v", got)
		}
	})
}

func TestPublishTwiceNotifiesTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		post := call[string](w, "posts:create", `{"title":"Hello"}`)
		first := call[jobID](w, "posts:publish", `{"postId":%q,"notifyAfterMs":200}`, post).JobID
		second := call[jobID](w, "posts:publish", `{"postId":%q,"notifyAfterMs":0}`, post).JobID
		w.pass(time.Second)
		got := call[[]sample.Notification](w, "notifications:list", `{"postId":%q}`, post)
		if len(got) != 2 || got[0].Key != second || got[1].Key != first {
			t.Errorf("got %+v, want %s and then %s", got, second, first)
		}
	})
}

// TestPublishSurvivesACrash crashes between publishing and the notification.
func TestPublishSurvivesACrash(t *testing.T) {
	inWorld(t, func(w *world) {
		post := call[string](w, "posts:create", `{"title":"Hello"}`)
		job := call[jobID](w, "posts:publish", `{"postId":%q}`, post).JobID
		w.pass(10 * time.Second)
		w.crash()
		w.pass(30 * time.Second)
		got := call[[]sample.Notification](w, "notifications:list", `{"postId":%q}`, post)
		if len(got) != 1 || got[0].Key != job {
			t.Errorf("got %+v, want once by %s", got, job)
		}
	})
}

func TestPostsRefuse(t *testing.T) {
	inWorld(t, func(w *world) {
		post := call[string](w, "posts:create", `{"title":"Hello"}`)
		order := call[struct{ OrderID string }](w, "orders:place", `{"sku":"tea"}`).OrderID
		invalid := dispatch.CodeInvalidArgument
		w.refused(invalid, "title is empty", "posts:create", `{}`)
		w.refused(invalid, "title is empty", "posts:create", ``)
		w.refused(invalid, "title is 1001 bytes long, want at most 1000", "posts:create", `{"title":%q}`, strings.Repeat("x", 1001))
		call[string](w, "posts:create", `{"title":%q}`, strings.Repeat("x", 1000))
		w.refused(invalid, `unknown field "tilte"`, "posts:create", `{"tilte":"x"}`)
		w.refused(invalid, "notifyAfterMs is -1, want 0 to 9223372036854", "posts:publish", `{"postId":%q,"notifyAfterMs":-1}`, post)
		w.refused(invalid, "notifyAfterMs is 9223372036855", "posts:publish", `{"postId":%q,"notifyAfterMs":9223372036855}`, post)
		w.refused(invalid, `field "notifyAfterMs"`, "posts:publish", `{"postId":%q,"notifyAfterMs":1.5}`, post)
		w.refused(invalid, "is not an id of table posts", "posts:publish", `{}`)
		w.refused(invalid, "belongs to another table", "posts:publish", `{"postId":%q}`, order)
		w.refused(invalid, "is not an id of table posts", "notifications:list", `{"postId":"x"}`)
		w.refused(dispatch.CodeNotFound, "not found", "posts:publish", `{"postId":%q}`, unknownID(post))
		w.refused(dispatch.CodeNotFound, "not found", "notifications:list", `{"postId":%q}`, unknownID(post))
		for _, internal := range []string{"posts:read", "notifications:notifySubscribers", "notifications:record"} {
			w.refused(dispatch.CodeNotFound, "no function", internal, `{"postId":%q}`, post)
		}
	})
}

// unknownID is an id like the given one, of a document that does not exist.
func unknownID(id string) string {
	last := "0"
	if strings.HasSuffix(id, last) {
		last = "1"
	}
	return id[:len(id)-1] + last
}
