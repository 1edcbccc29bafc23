package actors_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestPingIsAnsweredByTheActors and not by a timer: with one of them that is held up it fails
// when its time is over, and names it.
func TestPingIsAnsweredByTheActors(t *testing.T) {
	k := newKit()
	add := k.mutation("p:add", func(*dispatch.MutationCtx, string) error { return nil })
	var inside, release chan struct{}
	opts := actors.Options{Functions: k.reg, AppLimits: func(id storage.AppID) actors.AppLimits {
		if id == "slow" {
			close(inside)
			<-release
		}
		return actors.AppLimits{}
	}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		inside, release = make(chan struct{}), make(chan struct{})
		if err := h.Engine.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		go func() { _, _ = h.Scheduler("slow").RunAfter(time.Hour, add.With("x")) }()
		<-inside
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		err := h.Engine.Ping(ctx)
		if code := dispatch.AsError(err).Code; code != dispatch.CodeDeadlineExceeded || !strings.Contains(err.Error(), "the directory has not answered") {
			t.Errorf("an actor is held up: %v, %v", code, err)
		}
		close(release)
		if err := h.Engine.Ping(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
