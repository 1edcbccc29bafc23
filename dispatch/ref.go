package dispatch

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Kind says what a function may do. "" stands for any kind where one is asked for.
// For engines.
type Kind string

// The kinds of functions.
const (
	KindQuery    Kind = "query"    // reads
	KindMutation Kind = "mutation" // reads and writes, in one transaction
	KindAction   Kind = "action"   // reaches the outside world, and data through queries and mutations
)

// None is the type of arguments, or of a result, that there are none of. As
// arguments it is {}, as a result null.
type None struct{}

// FunctionOption changes a declaration.
type FunctionOption interface{ changeFunction(*Info) }

// functionOption is a FunctionOption and nothing else.
type functionOption func(*Info)

func (o functionOption) changeFunction(to *Info) { o(to) }

// Formerly names paths the function used to have. Jobs stored under them, and
// callers that still use them, reach it. A path that another function has, or
// had, is refused when the handler is bound.
func Formerly(paths ...string) FunctionOption {
	return functionOption(func(info *Info) { info.Formerly = append(info.Formerly, paths...) })
}

// Deadline bounds one run of the function; it overrides the engine's default
// for its kind and is in turn overridden by a job's Timeout. A function that
// runs inside another's transaction is bounded by the outer one's.
func Deadline(d time.Duration) FunctionOption {
	return functionOption(func(info *Info) {
		if d <= 0 {
			panic(fmt.Sprintf("dispatch: %s: deadline %s is not positive", info.Path, d))
		}
		info.Deadline = d
	})
}

// StrictArgs has jobs of the function whose stored arguments have a field that the
// type does not have be held, as are those that do not decode at all. Without it they
// run, and the field is left out.
func StrictArgs() FunctionOption {
	return functionOption(func(info *Info) { info.StrictArgs = true })
}

// declare checks a declaration. A bad one panics: it is a mistake in the
// program, and is made before anything runs. Its callers are not inlined,
// because the line of a package-level variable is known of real calls only.
func declare(path string, kind Kind, internal bool, opts []FunctionOption) Info {
	info := Info{Path: path, Kind: kind, Internal: internal}
	for _, opt := range opts {
		opt.changeFunction(&info)
	}
	if kind == KindQuery && info.Placement != (Placement{}) {
		panic(fmt.Sprintf("dispatch: %s: a query is never a job: it has no pool and no priority", path))
	}
	for i, p := range append([]string{path}, info.Formerly...) {
		if err := Path(p).Check(); err != nil {
			panic("dispatch: " + err.Error())
		}
		if i > 0 && (p == path || slices.Contains(info.Formerly[:i-1], p)) {
			panic(fmt.Sprintf("dispatch: %s: %s is declared twice", path, p))
		}
	}
	declarations.Add(home, info)
	return info
}

// checkHandler refuses a nil handler when it is bound, not when it is called.
func checkHandler(info Info, missing bool) {
	if missing {
		panic(fmt.Sprintf("dispatch: %s: the handler is nil", info.Path))
	}
}

// QueryRef is a declared query: its path and its types. It cannot be scheduled.
type QueryRef[A, R any] struct{ info Info }

// Query declares a query that clients may call. It panics if the path is bad.
//
//go:noinline
func Query[A, R any](path string, opts ...FunctionOption) *QueryRef[A, R] {
	return &QueryRef[A, R]{declare(path, KindQuery, false, opts)}
}

// InternalQuery declares a query that only the server's side may call: host
// code and other functions. To a client it does not exist.
//
//go:noinline
func InternalQuery[A, R any](path string, opts ...FunctionOption) *QueryRef[A, R] {
	return &QueryRef[A, R]{declare(path, KindQuery, true, opts)}
}

// Path returns the path the query was declared with.
func (q *QueryRef[A, R]) Path() string { return q.info.Path }

// Handle binds the handler in the registry. It panics if the path is taken, or
// if the registry is in use already.
func (q *QueryRef[A, R]) Handle(reg *Registry, handler func(*QueryCtx, A) (R, error)) {
	checkHandler(q.info, handler == nil)
	args := newDecoder[A](q.info)
	reg.add(&Function{Info: q.info, args: args, returns: reflect.TypeFor[R](), query: func(ctx *QueryCtx, raw json.RawMessage, limits Limits) (json.RawMessage, error) {
		return handle(args, handler, ctx, raw, limits)
	}})
}

// Run runs the query and returns its result, or an *Error. From a query or a
// mutation it reads that one's snapshot; from anywhere else a fresh one.
func (q *QueryRef[A, R]) Run(caller QueryRunner, args A) (R, error) {
	raw, err := encodeArgs(q.info.Path, args)
	if err == nil {
		raw, err = caller.runQuery(q.info.Path, raw)
	}
	return decodeResult[R](q.info.Path, raw, err)
}

// MutationRef is a declared mutation: its path and its types.
type MutationRef[A, R any] struct{ info Info }

// Mutation declares a mutation that clients may call. It panics if the path is bad.
//
//go:noinline
func Mutation[A, R any](path string, opts ...FunctionOption) *MutationRef[A, R] {
	return &MutationRef[A, R]{declare(path, KindMutation, false, opts)}
}

// InternalMutation declares a mutation that only the server's side may call:
// host code, other functions, jobs and cron triggers. To a client it does not exist.
//
//go:noinline
func InternalMutation[A, R any](path string, opts ...FunctionOption) *MutationRef[A, R] {
	return &MutationRef[A, R]{declare(path, KindMutation, true, opts)}
}

// Path returns the path the mutation was declared with.
func (m *MutationRef[A, R]) Path() string { return m.info.Path }

// Handle binds the handler in the registry. It panics if the path is taken, or
// if the registry is in use already.
func (m *MutationRef[A, R]) Handle(reg *Registry, handler func(*MutationCtx, A) (R, error)) {
	checkHandler(m.info, handler == nil)
	args := newDecoder[A](m.info)
	reg.add(&Function{Info: m.info, args: args, returns: reflect.TypeFor[R](), mutation: func(ctx *MutationCtx, raw json.RawMessage, limits Limits) (json.RawMessage, error) {
		return handle(args, handler, ctx, raw, limits)
	}})
}

// Run runs the mutation and returns its result, or an *Error. From a mutation
// it joins that one's transaction, and if it fails its own writes and jobs are
// dropped while the caller may go on; from anywhere else it is a transaction of
// its own, durable when Run returns.
func (m *MutationRef[A, R]) Run(caller MutationRunner, args A) (R, error) {
	raw, err := encodeArgs(m.info.Path, args)
	if err == nil {
		raw, err = caller.runMutation(m.info.Path, raw)
	}
	return decodeResult[R](m.info.Path, raw, err)
}

// With makes a call that can be scheduled. The arguments are encoded at once.
func (m *MutationRef[A, R]) With(args A) Call { return newCall(m.info.Path, args) }

// ActionRef is a declared action: its path and its types.
type ActionRef[A, R any] struct{ info Info }

// Action declares an action that clients may call. It panics if the path is bad.
//
//go:noinline
func Action[A, R any](path string, opts ...FunctionOption) *ActionRef[A, R] {
	return &ActionRef[A, R]{declare(path, KindAction, false, opts)}
}

// InternalAction declares an action that only the server's side may call: host
// code, other actions, jobs and cron triggers. To a client it does not exist.
//
//go:noinline
func InternalAction[A, R any](path string, opts ...FunctionOption) *ActionRef[A, R] {
	return &ActionRef[A, R]{declare(path, KindAction, true, opts)}
}

// Path returns the path the action was declared with.
func (a *ActionRef[A, R]) Path() string { return a.info.Path }

// Handle binds the handler in the registry. It panics if the path is taken, or
// if the registry is in use already.
func (a *ActionRef[A, R]) Handle(reg *Registry, handler func(*ActionCtx, A) (R, error)) {
	checkHandler(a.info, handler == nil)
	args := newDecoder[A](a.info)
	reg.add(&Function{Info: a.info, args: args, returns: reflect.TypeFor[R](), result: fitsResult[R], action: func(ctx *ActionCtx, raw json.RawMessage, limits Limits) (json.RawMessage, error) {
		return handle(args, handler, ctx, raw, limits)
	}})
}

// Run runs the action and returns its result, or an *Error.
func (a *ActionRef[A, R]) Run(caller ActionRunner, args A) (R, error) {
	raw, err := encodeArgs(a.info.Path, args)
	if err == nil {
		raw, err = caller.runAction(a.info.Path, raw)
	}
	return decodeResult[R](a.info.Path, raw, err)
}

// With makes a call that can be scheduled. The arguments are encoded at once.
func (a *ActionRef[A, R]) With(args A) Call { return newCall(a.info.Path, args) }
