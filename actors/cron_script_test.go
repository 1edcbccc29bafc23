package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
)

// The days on which clocks change, as stories.
func TestG21_Scripts(t *testing.T) {
	actorstest.Scripts{
		Files: "../testdata/scripts/cron/*.txt",
		Options: func() actors.Options {
			reg := dispatch.NewRegistry()
			send := dispatch.Mutation[dispatch.None, dispatch.None]("reports:send")
			send.Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) { return dispatch.None{}, nil })
			return actors.Options{Functions: reg, ClockCheck: time.Minute}
		},
		Rewrite: *rewrite,
	}.Run(t)
}
