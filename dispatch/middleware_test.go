package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"carillon/dispatch"
)

// traced is under what the context of a run has how its middleware is nested.
type traced struct{}

// TestMiddleware: it stands around every run, the first outermost, knows what runs, gives
// the handler its context, and is told how the handler ended.
func TestMiddleware(t *testing.T) {
	b := mustBox(t)
	var seen []string
	for _, name := range []string{"one", "two"} {
		b.reg.Use(func(ctx context.Context, run dispatch.HandlerRun, next func(context.Context) error) error {
			id, _ := run.Auth.Identity()
			seen = append(seen, fmt.Sprint(name, " ", run.Kind, " ", run.Path, " of ", run.App, " by ", id.Subject, " for ", run.Job.ID, " at ", run.Depth))
			outer, _ := ctx.Value(traced{}).(string)
			err := next(context.WithValue(ctx, traced{}, outer+name))
			seen = append(seen, fmt.Sprint(name, ": ", err))
			return err
		})
	}
	inner := b.step("a:inner", func(ctx *dispatch.MutationCtx) error {
		seen = append(seen, "inner has "+ctx.Value(traced{}).(string))
		return dispatch.Errorf(dispatch.CodeAborted, "no")
	})
	b.step("a:outer", func(ctx *dispatch.MutationCtx) error {
		_, err := inner.Run(ctx, none{})
		wantError(t, err, dispatch.CodeAborted, "no")
		return b.write(ctx, "outer")
	})
	mustDo(t, b.run("a:outer"))
	b.wantKept("outer")
	want := []string{
		"one mutation a:outer of acme by ada for j at 0", "two mutation a:outer of acme by ada for j at 0",
		"one mutation a:inner of acme by ada for j at 1", "two mutation a:inner of acme by ada for j at 1",
		"inner has onetwoonetwo", "two: aborted: no", "one: aborted: no", "two: <nil>", "one: <nil>",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("it was run\n%q, want\n%q", seen, want)
	}
}

// TestMiddlewareDecides: its error fails the run, and rolls a mutation back; it cannot take
// the handler's back, nor have a run succeed whose handler has not run, nor run it twice. Its
// panic is the run's. Whatever it makes of arguments that do not decode, they are that.
func TestMiddlewareDecides(t *testing.T) {
	type middle = func(context.Context, dispatch.HandlerRun, func(context.Context) error) error
	for _, tt := range []struct {
		name   string
		middle middle
		args   string // of the mutation, which wants a number
		code   dispatch.Code
		runs   int
	}{
		{"passes on", func(ctx context.Context, _ dispatch.HandlerRun, next func(context.Context) error) error {
			return next(ctx)
		}, "1", "", 1},
		{"refuses before", func(context.Context, dispatch.HandlerRun, func(context.Context) error) error {
			return dispatch.Errorf(dispatch.CodeUnavailable, "closed")
		}, "1", dispatch.CodeUnavailable, 0},
		{"refuses after", func(ctx context.Context, _ dispatch.HandlerRun, next func(context.Context) error) error {
			return errors.Join(next(ctx), dispatch.Errorf(dispatch.CodeUnavailable, "closed"))
		}, "1", dispatch.CodeUnavailable, 1},
		{"swallows the error", func(ctx context.Context, _ dispatch.HandlerRun, next func(context.Context) error) error {
			next(ctx)
			return nil
		}, "-1", dispatch.CodeOutOfRange, 1},
		{"changes the error", func(ctx context.Context, _ dispatch.HandlerRun, next func(context.Context) error) error {
			return dispatch.Errorf(dispatch.CodeAborted, "instead of: %v", next(ctx))
		}, "-1", dispatch.CodeAborted, 1},
		{"does not run it", func(context.Context, dispatch.HandlerRun, func(context.Context) error) error { return nil }, "1", dispatch.CodeInternal, 0},
		{"runs it twice", func(ctx context.Context, _ dispatch.HandlerRun, next func(context.Context) error) error {
			if err := next(ctx); err != nil {
				return err
			}
			return next(ctx)
		}, "1", dispatch.CodeInternal, 1},
		{"panics", func(context.Context, dispatch.HandlerRun, func(context.Context) error) error { panic("no") }, "1", dispatch.CodeInternal, 0},
		{"changes the error of arguments", func(ctx context.Context, _ dispatch.HandlerRun, next func(context.Context) error) error {
			return dispatch.Errorf(dispatch.CodeAborted, "instead of: %v", next(ctx))
		}, `"a word"`, dispatch.CodeInvalidArgument, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, runs := mustBox(t), 0
			b.reg.Use(tt.middle)
			dispatch.InternalMutation[int, none]("a:number").Handle(b.reg, func(ctx *dispatch.MutationCtx, n int) (none, error) {
				runs++
				if err := b.write(ctx, "written"); err != nil {
					return none{}, err
				}
				if n < 0 {
					return none{}, dispatch.Errorf(dispatch.CodeOutOfRange, "less than nothing")
				}
				return none{}, nil
			})
			err := b.runWith("a:number", tt.args)
			if tt.code == "" {
				mustDo(t, err)
				b.wantKept("written")
			} else {
				if e := dispatch.AsError(err); e.Code != tt.code {
					t.Errorf("it ended with %v, want %s", err, tt.code)
				}
				b.wantKept()
			}
			if runs != tt.runs {
				t.Errorf("the handler has run %d times, want %d", runs, tt.runs)
			}
		})
	}
}

// TestAMiddlewareThatPanicsLeavesTheArgumentsAlone: a job is not held as one whose arguments
// do not decode, because its middleware has panicked.
func TestAMiddlewareThatPanicsLeavesTheArgumentsAlone(t *testing.T) {
	b := mustBox(t)
	b.reg.Use(func(context.Context, dispatch.HandlerRun, func(context.Context) error) error { panic("no") })
	fn, _ := b.reg.Lookup("box:noop")
	var stored dispatch.StoredArgs
	tx := b.app.Begin(noon)
	defer tx.Rollback(nil)
	_, err := fn.RunMutation(dispatch.Env{App: "acme", Registry: b.reg, Now: noon, Stored: &stored}, tx.JobWriter(), nil)
	wantError(t, err, dispatch.CodeInternal, "internal error")
	if stored.Unfit != nil {
		t.Errorf("the arguments are at fault: %v", stored.Unfit)
	}
}

func TestMiddlewareIsGivenInTime(t *testing.T) {
	reg := dispatch.NewRegistry()
	mustPanic(t, "nil", func() { reg.Use(nil) })
	reg.Seal()
	mustPanic(t, "before the registry is in use", func() {
		reg.Use(func(ctx context.Context, _ dispatch.HandlerRun, next func(context.Context) error) error {
			return next(ctx)
		})
	})
}
