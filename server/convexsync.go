package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/convex"
	"carillon/storage"
)

// Bounds of a connection of npm convex.
const (
	syncPing    = 15 * time.Second // clients give up after 60 s of silence
	syncWrite   = 30 * time.Second // how long a client may take to read a message
	syncWaiting = 64               // mutations that wait for the one before, and actions at once
	syncSession = 128              // bytes of a session's id
	syncUntold  = 4096             // changes of queries, and answers of mutations, that wait for a transition
)

// convexSync is one connection of a client that is told of changes.
type convexSync struct {
	h    *handler
	app  *actors.App
	w    http.ResponseWriter
	r    *http.Request // the one that was upgraded, without cookies and credentials
	rt   *route
	conn *websocket.Conn
	live *actors.Live

	session   string // of the reader
	mutations chan convexMutation
	actions   chan struct{} // a place for each that runs

	writing sync.Mutex    // one message at a time
	sooner  chan struct{} // again is now before what it was

	mu      sync.Mutex
	auth    string // the header that says who calls
	who     convexCaller
	refused error          // why nothing is told until there is another credential
	again   time.Time      // when it is asked again who calls; zero: no sooner than before a message
	wanted  convex.Version // with all that the client has asked for
	sent    convex.Version // what it has
	asked   []convexAsked  // what is not in sent, in the order of their versions
	untold  int            // how much that is
	told    *sync.Cond     // of mu: it has become less
	queries []convexQuery  // those of the client; while it is refused they are not live
	size    int64          // bytes of their arguments
	kept    holding        // for those
}

// convexMutation is a mutation that waits for the one before, and what its message takes.
type convexMutation struct {
	convex.ClientMessage
	held holding
}

// convexConnect serves a connection until it ends.
func (h *handler) convexConnect(w http.ResponseWriter, r *http.Request, rt *route) {
	if r.Method != http.MethodGet {
		wrongMethod(w, r, http.MethodGet)
		return
	}
	app, err := h.eng.App(storage.AppID(r.PathValue("app")))
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	if !upgrades(r) {
		refuse(w, 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "this route is for the WebSocket of npm convex"))
		return
	}
	conn, end, err := h.acceptWebSocket(w, r, clientOf(r, h.opts.TrustedProxies), h.opts.MaxBody)
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	if conn == nil {
		return
	}
	defer end()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	asked := r.Clone(ctx)
	asked.Method = http.MethodPost // to the gate of operators it is more than to read
	asked.Header.Del("Cookie")
	asked.Header.Del("Authorization")
	s := &convexSync{
		h: h, app: app, w: w, r: asked, rt: rt, conn: conn, live: app.Live(nil),
		mutations: make(chan convexMutation, syncWaiting), actions: make(chan struct{}, syncWaiting), sooner: make(chan struct{}, 1), kept: h.hold(asked),
	}
	defer s.kept.release()
	s.told = sync.NewCond(&s.mu)
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told.Broadcast()
	})()
	defer s.live.Close()
	var all sync.WaitGroup
	for _, part := range []func(context.Context){s.ping, s.watch, s.tell, s.mutate} {
		all.Go(func() {
			part(ctx)
			cancel() // what waits for it waits no more
			conn.CloseNow()
		})
	}
	if err := s.read(ctx, &all); err != nil {
		if e := dispatch.AsError(err); e.Code == dispatch.CodeInvalidArgument {
			_ = s.send(ctx, convex.FatalError{Type: "FatalError", Error: e.Message})
		}
		_ = conn.Close(websocket.StatusPolicyViolation, "")
	}
	close(s.mutations)
	cancel()
	s.live.Close()
	conn.CloseNow()
	all.Wait()
}

// send sends a message.
func (s *convexSync) send(ctx context.Context, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // it is made of text and JSON
	}
	held := s.h.hold(s.r)
	defer held.release()
	if err := held.grow(0, int64(len(text))); err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, syncWrite)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, text)
}

func (s *convexSync) ping(ctx context.Context) {
	tick := time.NewTicker(syncPing)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.send(ctx, convex.Ping{Type: "Ping"}) != nil {
				return
			}
		}
	}
}

// read does what the client says until the connection ends. An error is told to the client.
func (s *convexSync) read(ctx context.Context, all *sync.WaitGroup) error {
	for {
		_, reader, err := s.conn.Reader(ctx)
		if err != nil || !s.turn(ctx) {
			return nil
		}
		held := s.h.hold(s.r)
		text, err := held.read(reader, -1)
		if err != nil {
			held.release()
			if isRefusal(err) {
				return err
			}
			return nil
		}
		message, err := convex.ParseMessage(text)
		if err != nil {
			err = dispatch.Errorf(dispatch.CodeInvalidArgument, "%w", err)
		} else {
			err = s.do(ctx, all, message, &held)
		}
		held.release()
		if err != nil {
			return err
		}
	}
}

// turn waits until the client may ask again: what comes too soon over a connection can wait, where a request is
// refused.
func (s *convexSync) turn(ctx context.Context) bool {
	client := clientOf(s.r, s.h.opts.TrustedProxies)
	for {
		wait := s.h.rates.take(client, time.Now())
		if wait == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// do does what one message says. A call takes over what is held for the message.
func (s *convexSync) do(ctx context.Context, all *sync.WaitGroup, m convex.ClientMessage, held *holding) error {
	if s.session == "" && m.Type != "Connect" {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "the first message is no Connect")
	}
	switch m.Type {
	case "Connect":
		for _, c := range []byte(m.SessionID) {
			if c <= ' ' || c >= 0x7f {
				m.SessionID = ""
			}
		}
		if s.session != "" || m.SessionID == "" || len(m.SessionID) > syncSession {
			return dispatch.Errorf(dispatch.CodeInvalidArgument, "one Connect with a sessionId of 1 to %d visible ASCII characters is wanted", syncSession)
		}
		s.session = m.SessionID
		s.mu.Lock()
		_ = s.look() // an Authenticate may come yet
		s.mu.Unlock()
	case "Authenticate":
		auth := ""
		switch m.TokenType {
		case "User":
			auth = "Bearer " + m.Value
		case "Admin":
			auth = convexKey + " " + m.Value + m.ActsAs()
		}
		s.mu.Lock()
		s.wanted.Identity = m.BaseVersion + 1
		s.mu.Unlock()
		s.authenticate(ctx, auth)
	case "ModifyQuerySet":
		refused, err := s.modify(ctx, m)
		if err != nil {
			return err
		}
		if refused != nil { // one that authenticates later knows that this is not about it
			s.tellRefused(ctx, refused, false)
		}
	case "Mutation":
		mutation := convexMutation{m, held.move()}
		select {
		case s.mutations <- mutation:
		case <-ctx.Done():
			mutation.held.release()
		}
	case "Action":
		select {
		case s.actions <- struct{}{}:
			held := held.move()
			all.Go(func() {
				defer func() { <-s.actions }()
				defer held.release()
				s.act(ctx, m)
			})
		default:
			_ = s.send(ctx, s.failure("ActionResponse", m.RequestID, dispatch.Errorf(dispatch.CodeResourceExhausted, "%d actions of this connection run, as many as there may be", syncWaiting)))
		}
	}
	return nil
}

// mutate runs the mutations, one after the other, until there will be no more.
func (s *convexSync) mutate(ctx context.Context) {
	for m := range s.mutations {
		if ctx.Err() == nil && !s.mutation(ctx, m.ClientMessage) {
			s.conn.CloseNow() // then the reader ends, which says that no more will come
		}
		m.held.release()
	}
}

// mutation runs one, and says whether the client can be told of it.
func (s *convexSync) mutation(ctx context.Context, m convex.ClientMessage) bool {
	// A client that has lost the answer sends the mutation again, perhaps to another process.
	keyed := dispatch.WithSessionKey(ctx, s.session, strconv.FormatUint(uint64(m.RequestID), 10))
	value, err := s.call(keyed, dispatch.KindMutation, m)
	if err != nil {
		return s.send(ctx, s.failure("MutationResponse", m.RequestID, err)) == nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask(0, convexAsked{response: &convex.MutationResponse{Type: "MutationResponse", RequestID: m.RequestID, Success: true, Result: value, LogLines: []string{}}})
	return true
}

func (s *convexSync) act(ctx context.Context, m convex.ClientMessage) {
	value, err := s.call(ctx, dispatch.KindAction, m)
	if err != nil {
		_ = s.send(ctx, s.failure("ActionResponse", m.RequestID, err))
		return
	}
	_ = s.send(ctx, &convex.MutationResponse{Type: "ActionResponse", RequestID: m.RequestID, Success: true, Result: value, LogLines: []string{}})
}

// call runs the function of a mutation or an action.
func (s *convexSync) call(ctx context.Context, kind dispatch.Kind, m convex.ClientMessage) (json.RawMessage, error) {
	who, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	call, err := convex.CallOf(m.UDFPath, m.Args, m.ComponentPath)
	if err != nil {
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "%w", err)
	}
	r := s.r.WithContext(ctx)
	if who.op != nil {
		who.op.Request = who.op.WithContext(ctx)
		s.h.audited(&route{method: http.MethodPost, pattern: convexPattern + "/" + string(kind)}, who.op)
		defer s.h.recheck(nil, who.op)() // the connection goes on
		r = who.op.Request
	}
	value, err := s.h.convexRun(r, s.app, who, kind, &call)
	if why := revokedOf(r.Context()); err != nil && why != nil {
		err = why
	}
	return value, err
}

// failure is the response of a call that has failed.
func (s *convexSync) failure(kind string, request uint32, err error) *convex.MutationResponse {
	message, data := s.shown(err)
	text, _ := json.Marshal(message)
	return &convex.MutationResponse{Type: kind, RequestID: request, Result: bytes.TrimSpace(text), ErrorData: data, LogLines: []string{}}
}
