package dispatch

import (
	"context"
	"crypto/rand"

	"carillon/storage"
)

// Trace is where a run is in the traces of its system, by the W3C's Trace Context. A run is traced
// if its caller, or what has scheduled its job, was.
type Trace struct {
	// Span is that of the run itself: what its requests to others hand on, and what the jobs that it
	// schedules are linked to. nil: the run is not traced.
	Span *storage.Trace
	// Parent is the caller's span, of whose trace Span is. nil: there is none, as of a job.
	Parent *storage.Trace
	// Link is the span that has scheduled the job, whose every attempt is a trace of its own. nil:
	// there is none.
	Link *storage.Trace
}

type traceKey struct{}

// TraceOf returns where the run is whose context it is, or that of a function's call. The zero
// Trace is nowhere.
func TraceOf(ctx context.Context) Trace {
	if t := TraceIn(ctx); t != nil {
		return *t
	}
	return Trace{}
}

// WithTrace has what is called and scheduled within the context come from the span. A Middleware
// that makes spans of its own, in a tracing system, so tells the handler of them.
func WithTrace(ctx context.Context, span *storage.Trace) context.Context {
	t := TraceOf(ctx)
	t.Span = span
	return context.WithValue(ctx, traceKey{}, &t)
}

// TraceIn is where TraceOf reads; nil: nowhere. For engines.
func TraceIn(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// TraceRun returns the context of a run, with a span of its own: of a new trace with the link, if
// that is not nil, or else of the trace that ctx is in, if it is in one. For engines.
func TraceRun(ctx context.Context, link *storage.Trace) context.Context {
	t := &Trace{Link: link}
	if link == nil {
		if t.Parent = TraceOf(ctx).Span; t.Parent == nil {
			return ctx
		}
		span := *t.Parent
		t.Span = &span
	} else {
		t.Span = &storage.Trace{Sampled: link.Sampled}
		rand.Read(t.Span.ID[:])
	}
	rand.Read(t.Span.Span[:])
	return context.WithValue(ctx, traceKey{}, t)
}
