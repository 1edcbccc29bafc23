package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// Times of a stream of events.
const (
	// heartbeat is how often a stream has a comment, so that proxies do not take it for dead.
	heartbeat = 15 * time.Second
	// headersAfter is when a stream begins that has nothing to tell. What is refused is
	// refused before.
	headersAfter = 100 * time.Millisecond
	// eventTimeout is how long a client may take to read an event.
	eventTimeout = 30 * time.Second
)

// eventsAhead is how many events of a stream may be read before the first of them is written.
const eventsAhead = 64

func hideInEvent(e *api.JobEvent) {
	if e.Job != nil {
		hideInJob(e.Job)
	}
	if e.Progress != nil {
		hide(&e.Hidden, "progress.note", &e.Progress.Note, e.Progress.Note != "")
	}
}

// eventStream is an answer that is a stream of server-sent events, as it is written.
type eventStream struct {
	w       http.ResponseWriter
	conn    *http.ResponseController
	request *request
	places  places
	closing context.Context // of the server
	begun   bool            // the headers are written
	reset   *actors.Event   // of which the client is told with what follows: it may be a refusal
	odd     bool            // the Last-Event-ID was of another stream
	text    bytes.Buffer
}

// watchJobs streams what happens to the jobs that the filter chooses.
func (h *handler) watchJobs(w http.ResponseWriter, r *request) (int, any, error) {
	filter, count, err := filterOf(r.URL.Query())
	if err == nil && count {
		err = dispatch.Errorf(dispatch.CodeInvalidArgument, "count is for listings")
	}
	if err != nil {
		return 0, nil, err
	}
	places, err := h.places(r.app.ID(), &filter, r.op)
	if err != nil {
		return 0, nil, err
	}
	leave, err := h.streams.enter(clientOf(r.Request, h.opts.TrustedProxies), r.op.Name)
	if err != nil {
		return 0, nil, err
	}
	defer leave()
	s := &eventStream{
		w: w, conn: http.NewResponseController(w), request: r,
		places: places, closing: h.streams.closingOf(r.Request),
	}
	id := r.Header.Get("Last-Event-ID")
	after, ok := s.places.find(id)
	s.odd = id != "" && !ok
	liftReadDeadline(w)
	// A client that does not read must not hold the end of the server up.
	defer context.AfterFunc(s.closing, func() { s.setDeadline(discardTimeout) })()
	err = h.stream(s, filter, after)
	if err == nil || s.begun {
		s.end(h, err)
		return 0, answered{}, nil
	}
	return 0, nil, err
}

// stream writes events until there is an error, which is why, or the client has gone.
func (h *handler) stream(s *eventStream, filter storage.JobFilter, after actors.Position) error {
	type told struct {
		event actors.Event
		err   error
	}
	ctx, stop := context.WithCancel(s.request.Context())
	events := make(chan told, eventsAhead)
	defer func() {
		stop()
		for range events { // until the watch has ended
		}
	}()
	go func() {
		defer close(events)
		for e, err := range s.request.app.WatchAfter(ctx, filter, after) {
			events <- told{e, err}
		}
	}()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for begin := time.After(headersAfter); ; {
		s.text.Reset()
		var next *told
		select {
		case t := <-events: // closed only behind an error, or when ctx has ended
			next = &t
		case <-begin:
			s.text.WriteString(": hello\n\n")
		case <-beat.C:
			s.text.WriteString(":\n\n")
		case <-s.closing.Done():
		case <-ctx.Done():
		}
		// A write may have taken long, and what is ready is chosen from at random.
		switch {
		case ctx.Err() != nil:
			return cmp.Or(revokedOf(ctx), ctx.Err())
		case s.closing.Err() != nil:
			return dispatch.Errorf(dispatch.CodeUnavailable, "the server stops")
		}
		if next != nil {
			if next.err != nil {
				return next.err
			}
			if err := s.add(&next.event); err != nil {
				return err
			}
		}
		if s.text.Len() > 0 && !s.write(len(events) == 0) {
			return nil
		}
	}
}

// add adds an event to the text.
func (s *eventStream) add(e *actors.Event) error {
	if e.Kind == actors.EventReset {
		s.reset = e
		return nil
	}
	if s.reset != nil {
		name, reason := string(actors.EventReset), s.reset.Reason
		if s.reset.Lagged() {
			name = string(api.EventLagged)
		}
		if s.odd {
			reason, s.odd = "the Last-Event-ID is of another stream", false
		}
		// Its id is empty: a client whose connection breaks within the snapshot, and has
		// forgotten what it knew, must not go on from where it was before.
		if err := s.put(name, "id: \n", api.EventReason{Reason: reason}); err != nil {
			return err
		}
		s.reset = nil
	}
	id := ""
	if !e.Position.IsZero() {
		id = "id: " + s.places.name(e.Position) + "\n"
	}
	if e.Kind == actors.EventReady {
		return s.put(string(e.Kind), id, api.Ready{})
	}
	data := api.JobEvent{Seq: e.Job.Seq(), ID: string(e.Job.ID), Left: e.Left, Progress: progressOf(e.Job.Progress)}
	if e.Kind != actors.EventProgressed {
		job := jobOf(&e.Job)
		data.Job = &job
	}
	veil(s.request, &data, hideInEvent)
	return s.put(string(e.Kind), id, data)
}

func (s *eventStream) put(name, id string, data any) error {
	body, err := json.Marshal(data)
	if err == nil {
		fmt.Fprintf(&s.text, "event: %s\n%sdata: %s\n\n", name, id, body)
	}
	return err
}

// write writes the text. ok is false if the client has gone, or does not read.
func (s *eventStream) write(flush bool) (ok bool) {
	if !s.begun {
		s.begun = true
		head := s.w.Header()
		head.Set("Content-Type", "text/event-stream")
		head.Set("Cache-Control", "no-store")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Accel-Buffering", "no") // by a proxy
		s.w.WriteHeader(http.StatusOK)
	}
	if s.setDeadline(eventTimeout); s.closing.Err() != nil {
		s.setDeadline(discardTimeout)
	}
	if _, err := s.w.Write(s.text.Bytes()); err != nil {
		return false
	}
	return !flush || s.conn.Flush() == nil
}

func (s *eventStream) setDeadline(in time.Duration) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(in))
}

// end tells the client why the stream ends, unless it has gone: then err is nil, or of its
// request.
func (s *eventStream) end(h *handler, err error) {
	if ctx := s.request.Context(); err == nil || ctx.Err() != nil && revokedOf(ctx) == nil {
		return
	}
	s.text.Reset()
	failed := h.failureOf(s.request.Request, err)
	if s.put(string(api.EventEnd), "", failed.shown()) != nil {
		return
	}
	s.setDeadline(discardTimeout)
	if _, err := s.w.Write(s.text.Bytes()); err == nil {
		_ = s.conn.Flush()
	}
}

// places makes ids of the positions in one stream: of the app's jobs that a filter chooses, as
// operators see them who may, or may not, read arguments. A position is in no other stream.
type places struct {
	key    []byte
	stream []byte
}

// maxEventID bounds the header Last-Event-ID that is looked at.
const maxEventID = 256

func (p places) mac(position string) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write(p.stream)
	mac.Write([]byte(position))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])
}

// name is the id of the event at the position.
func (p places) name(at actors.Position) string {
	text := at.String()
	return text + "." + p.mac(text)
}

// find is the position that has the id. ok is false for what is none in this stream.
func (p places) find(id string) (at actors.Position, ok bool) {
	dot := strings.LastIndexByte(id, '.')
	if dot < 0 || len(id) > maxEventID || !hmac.Equal([]byte(id[dot+1:]), []byte(p.mac(id[:dot]))) {
		return actors.Position{}, false
	}
	at, err := actors.ParsePosition(id[:dot])
	return at, err == nil
}
