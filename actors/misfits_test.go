package actors_test

import (
	"log/slog"
	"strings"
	"testing"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G38: an app whose documents do not fit an index of the release opens and works; what
// is left out is logged once and counted.
func TestG38_DocumentsThatFitNoIndexStopNothing(t *testing.T) {
	type before struct {
		Rank string `json:"rank"`
	}
	type after struct {
		Rank int `json:"rank"`
	}
	var log heldLog
	then := newKit()
	loose := storage.NewTable[before]("ranks")
	add := dispatch.Mutation[string, none]("ranks:add")
	add.Handle(then.reg, func(ctx *dispatch.MutationCtx, rank string) (none, error) {
		_, err := loose.Insert(ctx.DB, before{rank})
		return none{}, err
	})
	opts := actors.Options{Functions: then.reg, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for _, rank := range []string{"first", "second"} {
			must[none](t)(add.Run(h.Caller("acme"), rank))
		}
		ranks := storage.NewTable[after]("ranks", storage.Index("by_rank", "rank"))
		now := newKit()
		push := dispatch.Mutation[int, int]("ranks:push")
		push.Handle(now.reg, func(ctx *dispatch.MutationCtx, rank int) (int, error) {
			if _, err := ranks.Insert(ctx.DB, after{rank}); err != nil {
				return 0, err
			}
			return ranks.Query(ctx.DB).By("by_rank").Count()
		})
		h.Reconfigure(func(o *actors.Options) { o.Functions, o.Tables = now.reg, []storage.Schema{ranks} })
		for i := range 2 {
			if n := must[int](t)(push.Run(h.Caller("acme"), i)); n != i+1 {
				t.Errorf("the index has %d", n)
			}
			if i := h.Inspect("acme"); i.LeftOut != 2 {
				t.Errorf("Inspect counts %d", i.LeftOut)
			}
			h.Restart()
		}
		if n := strings.Count(log.text(), "are left out of it"); n != 1 || !strings.Contains(log.text(), "index by_rank") {
			t.Errorf("logged %d times:\n%s", n, log.text())
		}
	})
}
