package actors

import (
	"context"
	"errors"
	"io"
	"time"

	"carillon/dispatch"
)

// This file is what an engine does about the lease of its store, if that shares its log with
// other nodes. A write needs no lease: the log refuses what the claim of another owner has
// overtaken. What was read here may be out of date once another node may have written, so that
//
//   - each answer that rests on a read is given only if the lease is held after the read: at the
//     end of Engine.read, of a query and of a transaction that writes nothing, and where something
//     leaves that was read before, to a watch, a live query or a call that waits;
//   - a job or an action begins only while the lease is held, looked at right before an action's
//     handler is called, and an action is told to stop when that ends, since the next owner may
//     run its job again. Due jobs wait meanwhile: the lease may be held again.
//
// When the lease is lost for good the engine ends.

// lease says whether this node may answer for its store. storage has the real one.
type lease interface {
	// Held returns nil while no other node can have taken over.
	Held() error
	// Term ends when Held returns nil no more. If it does again, that is another term.
	Term() context.Context
	// Lost is closed when Held will never return nil again.
	Lost() <-chan struct{}
}

// lapseLook is how long due jobs wait, while the lease is not held, before it is looked at again.
const lapseLook = 100 * time.Millisecond

// errLapsed is the cause of what is refused since the lease is not held.
var errLapsed = errors.New("the lease is not held")

var (
	cutByLapse = &interruption{why: "this node's lease on the log was not held to the end of the attempt"}
	notHeld    = &interruption{why: "this node's lease on the log is not held", unbegun: true}
)

// lapse is what the engine knows of its lease, and of its end.
type lapse struct {
	lease lease           // nil: the store has no other owner
	lost  <-chan struct{} // the lease's; nil without one
	over  chan struct{}   // closed when watch has returned; nil without a lease
}

// held says that an answer may leave, or why it may not.
func (l *lapse) held() error {
	if l.lease == nil {
		return nil
	}
	if err := l.lease.Held(); err != nil {
		return lapsed(err)
	}
	return nil
}

// answer is the error of what has read: its own, unless the lease has ended, since that may also
// be of what was out of date.
func (l *lapse) answer(err error) error {
	if lapsed := l.held(); lapsed != nil {
		return lapsed
	}
	return err
}

// whileHeld is the reply that a transaction has which writes nothing: what it says was read.
func (l *lapse) whileHeld(reply func(error)) func(error) {
	if l.lease == nil || reply == nil {
		return reply
	}
	return func(err error) {
		if err == nil {
			err = l.held()
		}
		reply(err)
	}
}

// gone is what those are told who wait when the lease ends.
func (l *lapse) gone() error { return lapsed(l.lease.Held()) }

// linked has stop called when the lease is not held any more, until unlink is.
func (l *lapse) linked(stop context.CancelCauseFunc) (unlink func() bool) {
	if l.lease == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(l.lease.Term(), func() { stop(cutByLapse) })
}

// lapsed tells a caller that the lease is not held.
func lapsed(cause error) error {
	return &dispatch.Error{
		Code: dispatch.CodeUnavailable, Err: errors.Join(errLapsed, cause),
		Message: "this node's lease on the log is not held: another node may have taken over",
	}
}

// Lost returns a channel that is closed when the engine has lost its store to other nodes: one of
// them has taken it over, or taken this node for dead. The engine then ends as if it were closed
// with a context that is over: actions are told to stop, what has returned is written down if the
// log takes it, and calls are refused as unavailable. Close it, and ask for another one. It is nil,
// which blocks for ever, for a store that no other node can own.
func (e *Engine) Lost() <-chan struct{} { return e.lapse.lost }

// newLapse returns that of an engine with the lease, which may be none.
func newLapse(l lease) lapse {
	if l == nil {
		return lapse{}
	}
	return lapse{lease: l, lost: l.Lost(), over: make(chan struct{})}
}

// watchLease closes the engine when its lease ends.
func (e *Engine) watchLease() {
	l := &e.lapse
	defer close(l.over)
	select {
	case <-l.lost:
	case <-e.ctx.Done():
		return
	}
	e.opts.Logger.Error("the lease on the log has ended: this node serves its apps no more", "err", l.lease.Held())
	e.closing.Store(true)
	e.cancel(cutByLapse)
	_ = e.end(func() error { return e.shutdown(e.ctx) }) // which Close returns
}

// wait returns when watchLease has.
func (l *lapse) wait() {
	if l.over != nil {
		<-l.over
	}
}

// refusal is why the engine takes no calls, which is closing.
func (l *lapse) refusal() error {
	select {
	case <-l.lost:
		return l.gone()
	default:
		return errShutdown()
	}
}

// writer is w, which takes nothing once the lease has ended.
func (l *lapse) writer(w io.Writer) io.Writer {
	if l.lease == nil {
		return w
	}
	return &heldWriter{w, l}
}

type heldWriter struct {
	w     io.Writer
	lapse *lapse
}

// Write implements io.Writer.
func (w *heldWriter) Write(p []byte) (int, error) {
	if err := w.lapse.held(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
