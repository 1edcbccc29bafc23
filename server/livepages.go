package server

import (
	"cmp"
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/server/ui"
	"carillon/storage"
)

// livePattern is the stream that tells a page of the dashboard that it is not up to date any more.
const livePattern = dashboardPattern + "live"

// Times of such a stream.
const (
	// liveApart is how far apart two changes of one app are told, and liveStoreApart of many: the
	// pages that show those cost more.
	liveApart, liveStoreApart = 250 * time.Millisecond, 2 * time.Second
	// liveShare is the same for all streams together, each of which has a browser fetch its page again.
	liveShare = 100 * time.Millisecond
	// liveBudget is for how many times as long as such pages take nothing is told: they have 4 % of one processor.
	liveBudget = 25
	// liveMost is how far apart two changes of an app are told for that.
	liveMost = 15 * time.Second
	// liveTogether is from how many streams on they are told at the same instants.
	liveTogether = 10
	// liveTick is how often a page of all apps is told without a change: it has charts.
	liveTick = 10 * time.Second
	// liveFor is how long a stream lasts, after which the browser asks for another, and so shows once more who it is.
	liveFor = time.Hour
)

// livePages counts the streams, and what their pages cost.
type livePages struct {
	open atomic.Int64
	cost atomic.Int64 // ns that a page which was asked for has taken lately; none if another's was shared
}

// paid takes note that a page was asked for which took so long to make.
func (l *livePages) paid(took time.Duration) {
	// What is lost to another at the same instant is made up for by the next.
	before := l.cost.Load()
	l.cost.Store(before + (int64(took)-before)/64)
}

// apart is how far apart two changes are told, of an app or of many: so that the pages that are asked for because of
// them, all of the streams together, take no more than their share of a processor.
func (l *livePages) apart(ofApp bool) time.Duration {
	least := liveStoreApart
	if ofApp {
		least = liveApart
	}
	open := time.Duration(l.open.Load())
	apart := max(least, open*liveShare)
	for enough := open * liveBudget * time.Duration(l.cost.Load()); apart < enough && apart < liveMost; {
		apart *= 2 // so that those who are told at the same instants still are
	}
	return apart
}

// quiet is for how long after a change that was told now no other is told: until an instant that is the same for
// all streams if there are many of them, so that their pages, asked for together, are made once.
func (l *livePages) quiet(ofApp bool, now time.Time) time.Duration {
	apart := l.apart(ofApp)
	if l.open.Load() < liveTogether {
		return apart
	}
	return now.Add(apart * 3 / 4).Truncate(apart).Add(apart).Sub(now)
}

// streamChanges is the stream for the app in the query, or for all of the operator's. It has no
// data: the page that it is for is asked for again, as the JSON API would be.
func (h *handler) streamChanges(w http.ResponseWriter, r *http.Request, op *Operator) {
	app := r.URL.Query().Get("app")
	row := h.rows["GET /v1/apps"] // what it tells, these rows would
	if app != "" {
		row = h.rows["GET /v1/apps/{app}/events"]
	}
	inner := r.Clone(r.Context())
	inner.SetPathValue("app", app)
	asked := &request{Request: inner, route: row, op: op}
	err := h.admit(row, asked)
	var leave func()
	if err == nil {
		leave, err = h.streams.enter(clientOf(r, h.opts.TrustedProxies), op.Name)
	}
	if err != nil {
		h.failPage(w, h.pageRequest(r, op), err)
		return
	}
	defer leave()
	defer h.recheck(w, asked)()
	h.live.open.Add(1)
	defer h.live.open.Add(-1)
	var changed <-chan struct{}
	switch {
	case app != "":
		changed, leave = h.eng.Changes(storage.AppID(app))
	case op.AllApps:
		changed, leave = h.eng.Changes()
	default:
		changed, leave = h.eng.Changes(append([]storage.AppID{noSuchApp}, op.Apps...)...)
	}
	defer leave()
	s := &eventStream{w: w, conn: http.NewResponseController(w), request: asked, closing: h.streams.closingOf(r)}
	liftReadDeadline(w)
	// A client that does not read must not hold the end of the server up.
	defer context.AfterFunc(s.closing, func() { s.setDeadline(discardTimeout) })()
	s.end(h, h.tellChanges(s, changed, app != ""))
}

// noSuchApp is the name of no app, so that a list with it is not empty.
const noSuchApp = storage.AppID("/")

// tellChanges writes to the stream until there is an error, which is why, or the client has gone.
func (h *handler) tellChanges(s *eventStream, changed <-chan struct{}, ofApp bool) error {
	ctx := s.request.Context()
	beat, over := time.NewTicker(heartbeat), time.NewTimer(liveFor)
	defer beat.Stop()
	defer over.Stop()
	tick := make(<-chan time.Time)
	if !ofApp {
		ticker := time.NewTicker(liveTick)
		defer ticker.Stop()
		tick = ticker.C
	}
	gap := time.NewTimer(0) // until it has fired nothing is told
	defer gap.Stop()
	<-gap.C
	s.text.WriteString("retry: 1000\n\n")
	for quiet := false; s.write(true); {
		s.text.Reset()
		next := changed
		if quiet {
			next = nil
		}
		select {
		case <-next:
			s.text.WriteString("event: " + ui.EventChanged + "\ndata: {}\n\n")
			gap.Reset(h.live.quiet(ofApp, time.Now()))
			quiet = true
		case <-tick:
			s.text.WriteString("event: " + ui.EventChanged + "\ndata: {}\n\n")
		case <-gap.C:
			quiet = false
		case <-beat.C:
			s.text.WriteString(":\n\n")
		case <-over.C:
			return nil
		case <-s.closing.Done():
		case <-ctx.Done():
		}
		// What is ready is chosen from at random.
		switch {
		case ctx.Err() != nil:
			return cmp.Or(revokedOf(ctx), ctx.Err())
		case s.closing.Err() != nil:
			return dispatch.Errorf(dispatch.CodeUnavailable, "the server stops")
		}
	}
	return nil
}
