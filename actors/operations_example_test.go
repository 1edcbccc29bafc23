package actors_test

import (
	"context"
	"fmt"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// All letters of a campaign are taken back: first they are counted, and then what was counted is
// canceled, by the app itself, step by step, and also after a restart of the program.
func ExampleHostScheduler_Operate() {
	reg := dispatch.NewRegistry()
	send := dispatch.InternalAction[int, dispatch.None]("mail:send")
	send.Handle(reg, func(*dispatch.ActionCtx, int) (dispatch.None, error) { return dispatch.None{}, nil })
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		s := app.Scheduler(ctx)
		for i := range 3 {
			if _, err := s.RunAfter(time.Hour, send.With(i), dispatch.Tags("spring")); err != nil {
				return err
			}
		}
		takeBack := actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Tags: []string{"spring"}}, By: "ann"}
		count, err := s.CountOperation(takeBack)
		if err != nil {
			return err
		}
		fmt.Println("there are", count.Jobs)
		takeBack.AsOf = count.AsOf // and no letter that came later
		made, err := s.Operate(takeBack)
		if err != nil {
			return err
		}
		for made.Going() {
			time.Sleep(time.Millisecond)
			if made, _, err = s.Operation(made.ID); err != nil {
				return err
			}
		}
		fmt.Println(made.Outcome, made.Done)
		return nil
	})
	// Output:
	// there are 3
	// done 3
}
