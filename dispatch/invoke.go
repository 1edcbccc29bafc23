package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"carillon/storage"
)

// MaxNesting is how deeply functions may run inside one another.
const MaxNesting = 64

// Env is what the engine gives one run. Zero fields have the defaults they say.
// For engines.
type Env struct {
	Context   context.Context // canceled at the run's deadline; default context.Background
	App       storage.AppID
	Registry  *Registry    // for runs inside this one
	Identity  *Identity    // as Identity.Normalize returns it; nil is anonymous
	Now       time.Time    // the instant the run began
	Logger    *slog.Logger // base of ctx.Log; default: discards everything
	Job       JobRun
	Tick      Tick
	Limits    Limits
	Pools     map[string]*Pool // that jobs may be in, by name
	Invoker   Invoker          // runs what an action runs
	Scheduler Scheduler        // ctx.Scheduler of an action
	Notes     Notes            // of an action that is, or is run by, a job; default: none are kept
	Lines     Lines            // of what is, or is run by, a job; default: none are kept

	// Clock reads the wall, and in which clock era that was: RunAfter of a mutation counts
	// from it. Default: always Now.
	Clock func() (time.Time, storage.EraID)

	// NewCrons makes ctx.Scheduler.Crons() of a mutation for its writer; default:
	// every method is an error.
	NewCrons func(storage.JobWriter) Crons

	// NotKept is set, to why the result of a job cannot be kept. The run is a success
	// then, with no result. Default nil: it is an error, as to every other caller.
	NotKept *storage.NotKept

	// Stored is set, to how they fit, if the arguments are a job's: another program may
	// have stored them, so that they are decoded leniently, and not bounded. Default nil:
	// they are from the outside, and have to fit exactly.
	Stored *StoredArgs

	// Pending is ActionCtx.Pending, of a timeout within its bounds; default: it is refused.
	Pending func(time.Duration) (string, error)

	// Remote is of a job whose function is remote; default: it is told of no job.
	Remote *RemoteJob

	// Trace is where the run is; a middleware that knows better has it changed. Default nil:
	// nowhere.
	Trace *Trace

	Depth int // Depth of the Invocation; default 0
}

// StoredArgs is how the arguments of a job fit its function. For engines.
type StoredArgs struct {
	// Ignored is why they do not fit exactly, such as a field that the type does not
	// have; they were decoded without it. nil: they do.
	Ignored error
	// Unfit is why they do not decode at all; nothing was run then.
	Unfit error

	decoded bool
}

// Planner returns the planner that checks what this run schedules.
func (env *Env) Planner() Planner {
	if env.Trace == nil && env.Registry != nil && len(env.Registry.around) > 0 {
		env.Trace = new(Trace) // for what a middleware says
	}
	return Planner{Registry: env.Registry, Identity: env.Identity, Limits: env.Limits, Pools: env.Pools, Parent: env.Job.ID, Now: env.Now, Clock: env.Clock, Trace: env.Trace}
}

// RunQuery runs the query on the snapshot and returns its result as JSON, or an
// *Error. A panic of the handler is an internal error; runtime.Goexit is not
// recovered and takes the goroutine with it.
func (f *Function) RunQuery(env Env, db storage.Reader, args json.RawMessage) (json.RawMessage, error) {
	if f.query == nil {
		return nil, wrongKind(f, KindQuery)
	}
	return runQuery(env, f, readOnly{db}, args)
}

// RunMutation runs the mutation in the transaction and returns its result as
// JSON, or an *Error, after which the transaction must be dropped. A panic of
// the handler is an internal error; runtime.Goexit is not recovered and takes
// the goroutine with it.
func (f *Function) RunMutation(env Env, tx storage.JobWriter, args json.RawMessage) (json.RawMessage, error) {
	if f.mutation == nil {
		return nil, wrongKind(f, KindMutation)
	}
	return runMutation(env, f, tx, args)
}

// RunAction runs the action and returns its result as JSON, or an *Error. A
// panic of the handler is an internal error; runtime.Goexit is not recovered
// and takes the goroutine with it.
func (f *Function) RunAction(env Env, args json.RawMessage) (json.RawMessage, error) {
	if f.action == nil {
		return nil, wrongKind(f, KindAction)
	}
	return runAction(env, f, args)
}

func wrongKind(f *Function, asked Kind) *Error {
	return &Error{
		Code: CodeInvalidArgument, Path: f.Path,
		Message: fmt.Sprintf("function %q is of kind %s, not %s", f.Path, f.Kind, asked),
	}
}

// border is what stands between a handler and the world: limits and depth on the
// way in; on the way out no panic, and no error but an *Error. C is the kind's context.
func border[C handlerContext](
	f *frame, ctx C, handler func(C, json.RawMessage, Limits) (json.RawMessage, error), args json.RawMessage,
) (out json.RawMessage, failed error) {
	path, limits := f.fn.Path, f.env.Limits.WithDefaults()
	if f.env.Depth > MaxNesting {
		return nil, &Error{
			Code: CodeResourceExhausted, Path: path,
			Message: fmt.Sprintf("functions run inside one another more than %d deep", MaxNesting),
		}
	}
	if limits.stored = f.env.Stored; limits.stored == nil {
		if err := checkSize(path, "args", len(args), limits.Args); err != nil {
			return nil, err
		}
	}
	defer func() {
		f.done.Store(true)
		if v := recover(); v != nil {
			err := f.failure(newPanic(v))
			if s := f.env.Stored; s != nil && f.entered && !s.decoded {
				s.Unfit = err // a method UnmarshalJSON of the user's
			}
			out, failed = nil, err
		}
	}()
	out, err := enter(f, ctx, handler, args, limits)
	if bad, ok := err.(argsError); ok {
		err := badArgs(path, bad.error)
		if f.env.Stored != nil {
			f.env.Stored.Unfit = err
		}
		return nil, err
	}
	if bad, ok := err.(resultError); ok {
		if f.env.NotKept != nil {
			*f.env.NotKept = bad.why
			return nil, nil
		}
		err = bad.error
	}
	if err != nil {
		return nil, f.failure(err)
	}
	return out, nil
}

// handlerContext is the context of one of the kinds: within is where it keeps the
// context.Context that it is.
type handlerContext interface{ within() *context.Context }

// enter calls the handler, inside of the middleware if there is any.
func enter[C handlerContext](
	f *frame, ctx C, handler func(C, json.RawMessage, Limits) (json.RawMessage, error), args json.RawMessage, limits Limits,
) (json.RawMessage, error) {
	if f.env.Registry == nil || len(f.env.Registry.around) == 0 {
		f.entered = true
		return handler(ctx, f.fn.args.normal(args), limits)
	}
	return f.around(ctx.within(), func() (json.RawMessage, error) {
		f.entered = true
		return handler(ctx, f.fn.args.normal(args), limits)
	})
}

// argsError marks what handle returns for arguments that do not decode, so that
// nothing a handler returns can be taken for it.
type argsError struct{ error }

// handle is the typed middle of a run: decode, call the handler, encode.
func handle[C, A, R any](
	dec *decoder[A], handler func(C, A) (R, error), ctx C, raw json.RawMessage, limits Limits,
) (json.RawMessage, error) {
	args, err := dec.decode(raw)
	if stored := limits.stored; stored != nil {
		if err != nil {
			args, err = dec.decodeStored(raw, stored, err)
		}
		stored.decoded = err == nil
	}
	if err != nil {
		return nil, argsError{err}
	}
	result, err := handler(ctx, args)
	if err != nil {
		return nil, err
	}
	return encodeResult(result, limits)
}

func newPanic(v any) *PanicError { return &PanicError{Value: v, Stack: debug.Stack()} }
