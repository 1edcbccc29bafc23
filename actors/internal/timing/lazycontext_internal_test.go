package timing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestLazyContextIsLikeAnyOther compares it with the standard library's in all
// that can be seen, however late it is made.
func TestLazyContextIsLikeAnyOther(t *testing.T) {
	const timeout = time.Second
	type key struct{}
	reason := errors.New("it has its reasons")
	steps := []struct {
		name string
		do   func(parent context.CancelFunc, cancel func())
	}{
		{"nothing", func(context.CancelFunc, func()) {}},
		{"short of the deadline", func(context.CancelFunc, func()) { time.Sleep(timeout - 1) }},
		{"deadline", func(context.CancelFunc, func()) { time.Sleep(timeout + 1) }},
		{"cancel", func(_ context.CancelFunc, cancel func()) { cancel() }},
		{"parent", func(parent context.CancelFunc, _ func()) { parent() }},
		{"parent, then cancel", func(parent context.CancelFunc, cancel func()) { parent(); cancel() }},
		{"cancel, then parent", func(parent context.CancelFunc, cancel func()) { cancel(); parent() }},
		{"deadline, then cancel", func(_ context.CancelFunc, cancel func()) { time.Sleep(timeout + 1); cancel() }},
		{"cancel, then deadline", func(_ context.CancelFunc, cancel func()) { cancel(); time.Sleep(timeout + 1) }},
		{"cancel twice", func(_ context.CancelFunc, cancel func()) { cancel(); cancel() }},
	}
	looks := map[string]func(context.Context){
		"made at last":      func(context.Context) {},
		"made first":        func(ctx context.Context) { ctx.Done() },
		"asked for Err":     func(ctx context.Context) { _ = ctx.Err() },
		"a child made late": func(ctx context.Context) { ctx.Value(key{}) },
	}
	for _, parentTimeout := range []time.Duration{0, timeout / 2, timeout + 3} {
		for _, step := range steps {
			for name, look := range looks {
				t.Run(step.name+"/"+name+"/"+parentTimeout.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						// see runs the step on a context, and tells all that it shows.
						see := func(make func(parent context.Context) (context.Context, func())) (seen []any) {
							parent, endWith := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
							end := func() { endWith(reason) }
							if parentTimeout > 0 {
								var stop context.CancelFunc
								parent, stop = context.WithTimeout(parent, parentTimeout)
								defer stop()
							}
							ctx, cancel := make(parent)
							defer end()
							defer cancel()
							began := time.Now()
							at, ok := ctx.Deadline()
							look(ctx)
							step.do(end, cancel)
							synctest.Wait()
							child, forget := context.WithCancel(ctx)
							defer forget()
							synctest.Wait()
							over := false
							select {
							case <-ctx.Done():
								over = true
							default:
							}
							return append(seen, at.Sub(began), ok, ctx.Err(), context.Cause(ctx), over, child.Err(), ctx.Value(key{}))
						}
						want := see(func(parent context.Context) (context.Context, func()) {
							ctx, cancel := context.WithTimeout(parent, timeout)
							return ctx, cancel
						})
						got := see(func(parent context.Context) (context.Context, func()) {
							ctx := NewLazyContext(parent, context.Background(), time.Now().Add(timeout))
							return ctx, func() { ctx.Cancel(nil) }
						})
						for i := range want {
							if got[i] != want[i] {
								t.Errorf("sight %d is %v, want %v", i, got[i], want[i])
							}
						}
					})
				})
			}
		}
	}
}

// TestLazyContextSaysOneThing: what it has once said of its end it says ever after.
func TestLazyContextSaysOneThing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, end := context.WithCancel(t.Context())
		ctx := NewLazyContext(parent, context.Background(), time.Now().Add(time.Second))
		time.Sleep(time.Second)
		if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("at its deadline it is %v", err)
		}
		end()
		ctx.Cancel(nil)
		<-ctx.Done()
		if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("later it is %v", err)
		}
	})
}

// TestLazyContextSaysWhy: the first cause stays, whether it was made before or after.
func TestLazyContextSaysWhy(t *testing.T) {
	parentCause, engineCause, turnCause := errors.New("parent"), errors.New("engine"), errors.New("turn")
	for name, tt := range map[string]struct {
		do   func(parent, engine, turn context.CancelCauseFunc)
		want error
	}{
		"nothing":             {func(_, _, _ context.CancelCauseFunc) {}, nil},
		"parent":              {func(parent, _, _ context.CancelCauseFunc) { parent(parentCause) }, parentCause},
		"engine":              {func(_, engine, _ context.CancelCauseFunc) { engine(engineCause) }, engineCause},
		"turn":                {func(_, _, turn context.CancelCauseFunc) { turn(turnCause) }, turnCause},
		"deadline":            {func(_, _, _ context.CancelCauseFunc) { time.Sleep(time.Second) }, context.DeadlineExceeded},
		"engine, then turn":   {func(_, engine, turn context.CancelCauseFunc) { engine(engineCause); synctest.Wait(); turn(turnCause) }, engineCause},
		"turn, then engine":   {func(_, engine, turn context.CancelCauseFunc) { turn(turnCause); engine(engineCause) }, turnCause},
		"turn without reason": {func(_, _, turn context.CancelCauseFunc) { turn(nil) }, context.Canceled},
	} {
		for _, made := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, endParent := context.WithCancelCause(t.Context())
				engine, endEngine := context.WithCancelCause(context.Background())
				defer endParent(nil)
				defer endEngine(nil)
				ctx := NewLazyContext(parent, engine, time.Now().Add(time.Second))
				defer ctx.Cancel(nil)
				if made {
					ctx.Done()
				}
				tt.do(endParent, endEngine, func(cause error) {
					if !made {
						_ = ctx.Err() // what it has not looked at it does not know the order of
					}
					ctx.Cancel(cause)
				})
				synctest.Wait()
				if got := ctx.Why(); !errors.Is(got, tt.want) {
					t.Errorf("%s, made %v: over because of %v, want %v", name, made, got, tt.want)
				}
				if over := ctx.Err() != nil; over != (tt.want != nil) {
					t.Errorf("%s, made %v: Err is %v", name, made, ctx.Err())
				}
			})
		}
	}
}
