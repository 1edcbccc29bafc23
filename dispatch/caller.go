package dispatch

import (
	"context"
	"encoding/json"
)

// Origin is where a call comes from. It decides what may be reached, and
// nothing else: the path an invocation takes is the same. For engines.
type Origin string

// The origins of calls.
const (
	OriginClient   Origin = "client"   // outside: internal functions do not exist
	OriginHost     Origin = "host"     // Go code of the app server
	OriginJob      Origin = "job"      // a due job
	OriginFunction Origin = "function" // another function
)

// Invocation is one call on its way to a function. An RPC, a host call, a due
// job and a run from an action are all this. For engines.
type Invocation struct {
	Path     string
	Kind     Kind            // the kind the caller expects; "" means any
	Args     json.RawMessage // absent and null count as {}
	Identity *Identity       // who calls; nil is anonymous
	Origin   Origin
	Job      JobRun // the job this is a run of or, from a function, that function's job
	Tick     Tick   // the tick this is a run of, or is a part of
	Depth    int    // how many runs this one is inside of
}

// Invoker runs invocations; the engine implements it for one app. Each one is
// its own transaction. A mutation is durable when Invoke returns nil. For engines.
type Invoker interface {
	Invoke(ctx context.Context, inv Invocation) (json.RawMessage, error)
}

// Caller runs functions of one app from outside every function. It runs any kind, internal ones too.
type Caller struct {
	ctx      context.Context
	invoker  Invoker
	identity *Identity
	err      error // what is wrong with the identity
}

// NewCaller makes the caller that runs functions through the invoker, within
// ctx, as the identity; nil is anonymous. A bad identity fails every run. For engines.
func NewCaller(ctx context.Context, invoker Invoker, identity *Identity) Caller {
	identity, err := identity.Normalize()
	return Caller{ctx: ctx, invoker: invoker, identity: identity, err: err}
}

// Invoke runs a function of any kind by its path, and returns its result as JSON
// or an *Error. The typed way is Run of a reference.
func (c Caller) Invoke(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.invoke("", path, args)
}

func (c Caller) invoke(kind Kind, path string, args json.RawMessage) (json.RawMessage, error) {
	if c.err != nil {
		return nil, c.err
	}
	if c.invoker == nil {
		return nil, notRunning(path)
	}
	out, err := c.invoker.Invoke(c.ctx, Invocation{
		Path: path, Kind: kind, Args: args, Identity: c.identity, Origin: OriginHost,
	})
	if err != nil {
		return nil, AsError(err)
	}
	return out, nil
}

func (c Caller) runQuery(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.invoke(KindQuery, path, args)
}

func (c Caller) runMutation(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.invoke(KindMutation, path, args)
}

func (c Caller) runAction(path string, args json.RawMessage) (json.RawMessage, error) {
	return c.invoke(KindAction, path, args)
}

// notRunning is the error of a run from a context or caller that the engine did not make.
func notRunning(path string) *Error {
	return &Error{Code: CodeFailedPrecondition, Path: path, Message: "the caller's context was not made by an engine"}
}
