package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	"carillon/server/api"
)

// idle is how long a stream may say nothing: the server says something every 15 s.
const idle = 45 * time.Second

var (
	errIdle      = errors.New("the stream has said nothing for 45 s")
	errLoopEnded = errors.New("the loop has ended")
)

// Event is something that has happened to a job, or that the loop has to know of its stream.
type Event struct {
	Kind api.EventKind
	// api.JobEvent is that of the job. It is zero of EventReset, EventLagged and EventReady.
	api.JobEvent
	Reason string // of EventReset and EventLagged: why a snapshot follows
	// After is where another Events goes on behind this event. It is "" of EventReset and within
	// the snapshot: that begins again.
	After string
}

// Events yields what happens to the app's jobs that the filter chooses: EventReset, an EventJob for
// each job, and EventReady; and then the changes. Error, Priority, ArgsContains, Due, Ended, Limit
// and Cursor of the filter are for listings. after is "", or the After of an event of the same app
// and filter.
//
// When the connection is lost, or the server stops, it goes on behind the last event, which the server
// can do for a minute. If it cannot, or the loop was too slow (EventLagged), the events begin
// again with EventReset: forget what was told before. Events without After's own, which are
// EventStarted and EventProgressed, may be missing.
//
// The stream ends with the loop, or with an error, which is the last that is yielded: canceled or
// deadline_exceeded when ctx ends; what the server refuses with, such as unauthenticated when the
// operator's token is revoked; and unavailable if there was no stream within Options.Attempts.
// Once there was one, it is sought until ctx ends.
func (a *App) Events(ctx context.Context, f api.JobFilter, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := &eventStream{app: a, filter: &f, last: after, yield: yield}
		for failures := 1; ; failures++ {
			told := s.told
			err := s.read(ctx)
			switch {
			case err == nil:
				return
			case ctx.Err() != nil:
				yield(Event{}, ended(ctx, err))
				return
			case s.told > told:
				failures = 1
			}
			wait, ok := a.c.backoff(failures, err.RetryAfter)
			if !ok || !s.goesOn(err, failures) {
				err.Attempts = failures
				yield(Event{}, err)
				return
			}
			pause(ctx, wait)
		}
	}
}

// eventStream is the events of one loop, over the connections that it takes.
type eventStream struct {
	app    *App
	filter *api.JobFilter
	last   string // where the next connection goes on
	told   int    // events that were yielded
	yield  func(Event, error) bool
}

// goesOn says whether another connection follows the failure, which is the nth in a row.
func (s *eventStream) goesOn(err *Error, n int) bool {
	lost := err.Status == 0 || err.Code == api.CodeUnavailable
	if s.told > 0 && lost && always.after(err) {
		return true
	}
	// The server may count the connection that was lost among those that are open.
	full := s.told > 0 && err.Code == api.CodeResourceExhausted && err.own
	return n < s.app.c.opts.Attempts && (full || always.after(err))
}

// read yields the events of one connection, until it is lost. The error is nil when the loop has ended.
func (s *eventStream) read(ctx context.Context) *Error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errLoopEnded)
	watch := time.AfterFunc(idle, func() { cancel(errIdle) })
	defer watch.Stop()
	r := s.app.get("events")
	r.query, r.lastID = jobQuery(s.filter), s.last
	resp, failed := s.app.c.attempt(ctx, &r, nil)
	if failed != nil {
		return failed
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || mediaOf(resp) != eventType {
		if _, failed = s.app.c.read(resp, jsonType); failed == nil {
			failed = stranger(resp)
		}
		return failed
	}
	frames := newFrames(&watched{resp.Body, watch}, s.last)
	for {
		watch.Reset(idle)
		frame, err := frames.next()
		watch.Stop() // the loop may take its time
		if err != nil {
			if failed, ok := errors.AsType[*Error](err); ok {
				return failed
			}
			return unanswered(err)
		}
		e, failed := eventOf(&frame)
		if failed != nil {
			return failed
		}
		s.last = frame.last
		s.told++
		if !s.yield(e, nil) {
			return nil
		}
	}
}

// eventOf is the event of the frame, or why the server ends the stream.
func eventOf(f *frame) (e Event, failed *Error) {
	e.Kind, e.After = api.EventKind(f.name), f.last
	var into any = &e.JobEvent
	var reason api.EventReason
	var end api.Error
	switch e.Kind {
	case api.EventReset, api.EventLagged:
		into = &reason
	case api.EventReady:
		into = &api.Ready{}
	case api.EventEnd:
		into = &end
	}
	if err := json.Unmarshal(f.data, into); err != nil {
		return e, &Error{Code: api.CodeUnimplemented, Message: "event " + f.name + " does not decode: " + err.Error(), Status: http.StatusOK, Err: err}
	}
	if e.Kind == api.EventEnd {
		return e, &Error{Code: end.Code, Message: end.Message, RequestID: end.RequestID, Status: http.StatusOK, own: true}
	}
	e.Reason = reason.Reason
	return e, nil
}

// watched is a body, of which each piece has the watch begin anew.
type watched struct {
	io.Reader
	watch *time.Timer
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.watch.Reset(idle)
	}
	return n, err
}
