package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
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

	writing sync.Mutex // one message at a time

	mu      sync.Mutex
	auth    string // the header that says who calls
	who     convexCaller
	refused error          // why nothing is told until there is another credential
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

// convexQuery is a query that the client is told the results of.
type convexQuery struct {
	actors.LiveQuery
	returns reflect.Type
}

// convexAsked is what is told with the transition that has the version of the live queries.
type convexAsked struct {
	live     uint64
	version  convex.Version // of the client: its query set and identity
	tell     []convex.Modification
	response *convex.MutationResponse // of a mutation, which the transition shows
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
	header := func(name, want string) bool {
		return slices.ContainsFunc(strings.Split(strings.Join(r.Header.Values(name), ","), ","), func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), want) })
	}
	if r.ProtoMajor != 1 || !header("Connection", "upgrade") || !header("Upgrade", "websocket") || !header("Sec-WebSocket-Version", "13") || r.Header.Get("Sec-WebSocket-Key") == "" {
		refuse(w, 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "this route is for the WebSocket of npm convex"))
		return
	}
	closing := h.streams.closingOf(r)
	if closing.Err() != nil {
		refuse(w, 0, dispatch.Errorf(dispatch.CodeUnavailable, "the server stops"))
		return
	}
	client := clientOf(r, h.opts.TrustedProxies)
	leave, err := h.streams.enter(client, client)
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	defer leave()
	// Whose page it is was looked at by the route's gate.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // it has been answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(h.opts.MaxBody)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer context.AfterFunc(closing, func() { _ = conn.Close(websocket.StatusGoingAway, "the server stops") })()
	asked := r.Clone(ctx)
	asked.Method = http.MethodPost // to the gate of operators it is more than to read
	asked.Header.Del("Cookie")
	asked.Header.Del("Authorization")
	s := &convexSync{
		h: h, app: app, w: w, r: asked, rt: rt, conn: conn, live: app.Live(nil),
		mutations: make(chan convexMutation, syncWaiting), actions: make(chan struct{}, syncWaiting), kept: h.hold(asked),
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
	for _, part := range []func(context.Context){s.ping, s.tell, s.mutate} {
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

// authenticate has the client be who the header says.
func (s *convexSync) authenticate(ctx context.Context, auth string) {
	s.mu.Lock()
	s.auth = auth
	err := s.look()
	if err == nil {
		s.ask(0, convexAsked{}) // the next transition says so
	}
	s.mu.Unlock()
	if err != nil {
		s.tellRefused(ctx, err, true)
	}
}

// ask has the next transition but those under way have what is asked, and what the live queries have
// committed until now. version is that of the live queries that it comes with, or 0. The lock is held.
func (s *convexSync) ask(version uint64, asked convexAsked) {
	if version == 0 {
		var err error
		if version, err = s.live.Change(nil, nil); err != nil {
			return // it is over, and the connection ends
		}
	}
	asked.live, asked.version = version, s.wanted
	s.asked = append(s.asked, asked)
	s.untold += 1 + len(asked.tell)
}

// look asks who the client is. Of one that is refused no query is live; for another one than before all
// are run anew, and told anew. The lock is held.
func (s *convexSync) look() error {
	asked := s.r.Clone(s.r.Context())
	if s.auth != "" {
		asked.Header.Set("Authorization", s.auth)
	}
	who, err := s.h.convexCaller(s.w, asked, s.rt)
	if err == nil {
		who.identity, err = who.identity.Normalize()
	}
	was := s.refused
	if s.refused = err; err != nil {
		s.rest()
		return err
	}
	before := s.who.identity
	s.who = who
	if was == nil && reflect.DeepEqual(before, who.identity) {
		return nil
	}
	s.rest()
	if _, err := s.live.SetIdentity(who.identity); err != nil {
		return nil // it is over, and the connection ends
	}
	asks := convexAsked{}
	s.ask(s.add(s.queries, nil, &asks), asks)
	return nil
}

// rest has no query be live. The lock is held.
func (s *convexSync) rest() {
	var all []uint64
	for _, q := range s.queries {
		all = append(all, q.ID)
	}
	_, _ = s.live.Change(nil, all)
}

// add has queries be live, and others not. Those that there is no room for have failed. The lock is held.
func (s *convexSync) add(queries []convexQuery, remove []uint64, asked *convexAsked) (version uint64) {
	var add []actors.LiveQuery
	for _, q := range queries {
		add = append(add, q.LiveQuery)
	}
	version, err := s.live.Change(add, remove)
	if err != nil && len(add) > 0 {
		version, _ = s.live.Change(nil, remove)
		for _, q := range add {
			asked.tell = append(asked.tell, s.result(actors.LiveResult{ID: q.ID, Err: err}))
		}
	}
	return version
}

// caller is who the client is now.
func (s *convexSync) caller(ctx context.Context) (convexCaller, error) {
	s.mu.Lock()
	was := s.refused
	err := s.look()
	who := s.who
	s.mu.Unlock()
	if err != nil && was == nil {
		s.tellRefused(ctx, err, false)
	}
	return who, err
}

// tellRefused tells the client that its credential is not good, or not any more: it has to bring another one.
func (s *convexSync) tellRefused(ctx context.Context, err error, attempted bool) {
	s.mu.Lock()
	base := max(s.wanted.Identity, 1) - 1
	s.mu.Unlock()
	f := s.h.failureOf(s.r, err)
	_ = s.send(ctx, convex.AuthError{Type: "AuthError", Error: f.Message, BaseVersion: base, AuthUpdateAttempted: attempted})
}

// modify changes which queries the client has. A client that does not read what it is told waits.
// refused is why nothing of them is told now.
func (s *convexSync) modify(ctx context.Context, m convex.ClientMessage) (refused, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.untold >= syncUntold && s.refused == nil && ctx.Err() == nil {
		s.told.Wait()
	}
	if s.untold >= syncUntold {
		return nil, dispatch.Errorf(dispatch.CodeResourceExhausted, "%d changes of queries wait, as many as may", s.untold)
	}
	s.wanted.QuerySet = m.NewVersion
	var asked convexAsked
	var add []convexQuery
	var remove []uint64
	for _, mod := range m.Modifications {
		if mod.Type == "Remove" {
			remove = append(remove, mod.QueryID)
			asked.tell = append(asked.tell, convex.Modification{Type: "QueryRemoved", QueryID: mod.QueryID})
			continue
		}
		q, err := s.query(&mod)
		if s.size += int64(len(q.Args)); err == nil && s.size > s.h.opts.MaxBody {
			err = dispatch.Errorf(dispatch.CodeResourceExhausted, "the arguments of a connection's queries have more than %d bytes, which is the limit", s.h.opts.MaxBody)
		}
		if err == nil {
			err = s.kept.grow(s.size-int64(len(q.Args)), s.size)
		}
		if err != nil {
			s.size -= int64(len(q.Args))
			asked.tell = append(asked.tell, s.result(actors.LiveResult{ID: mod.QueryID, Err: err}))
			continue
		}
		add = append(add, q)
	}
	before := s.size
	s.queries = slices.DeleteFunc(s.queries, func(q convexQuery) bool {
		gone := slices.Contains(remove, q.ID)
		if gone {
			s.size -= int64(len(q.Args))
		}
		return gone
	})
	_ = s.kept.grow(before, s.size) // which is less
	s.queries = append(s.queries, add...)
	var version uint64
	if s.refused == nil {
		version = s.add(add, remove, &asked)
	}
	s.ask(version, asked)
	return s.refused, nil
}

// query is the query that the client adds.
func (s *convexSync) query(mod *convex.QueryModification) (q convexQuery, err error) {
	call, err := convex.CallOf(mod.UDFPath, mod.Args, mod.ComponentPath)
	if err != nil {
		return q, dispatch.Errorf(dispatch.CodeInvalidArgument, "%w", err)
	}
	q.LiveQuery = actors.LiveQuery{ID: mod.QueryID, Path: call.Path, Args: call.Args}
	fn, err := s.h.eng.Functions().Resolve(call.Path, dispatch.OriginClient, dispatch.KindQuery)
	if err != nil {
		return q, err
	}
	takes, returns := fn.Types()
	q.returns = returns
	if q.Args, err = convex.Arguments(call.Args, takes, convex.Encoded); err != nil {
		return q, &dispatch.Error{Code: dispatch.CodeInvalidArgument, Path: fn.Path, Message: "args: " + err.Error()}
	}
	return q, nil
}

// result is what the client is told of a query's result.
func (s *convexSync) result(r actors.LiveResult) convex.Modification {
	value, err := r.Value, r.Err
	if err == nil {
		var of reflect.Type
		if i := slices.IndexFunc(s.queries, func(q convexQuery) bool { return q.ID == r.ID }); i >= 0 {
			of = s.queries[i].returns
		}
		if value, err = convex.Value(r.Value, of, convex.Encoded); err != nil {
			err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "the query has run, but a Convex client cannot hold its result: %w", err)
		}
	}
	if err != nil {
		message, data := s.shown(err)
		return convex.Modification{Type: "QueryFailed", QueryID: r.ID, ErrorMessage: message, ErrorData: data}
	}
	return convex.Modification{Type: "QueryUpdated", QueryID: r.ID, Value: value}
}

// shown is what the client is told of an error.
func (s *convexSync) shown(err error) (string, *convex.ErrorData) {
	f := s.h.failureOf(s.r, err)
	return f.Message, &convex.ErrorData{Code: string(f.Code), Path: f.Path, Message: f.Message, RequestID: f.RequestID}
}

// tell tells the client what has changed until the connection ends.
func (s *convexSync) tell(ctx context.Context) {
	for {
		t, err := s.live.Next(ctx)
		if err != nil {
			_ = s.conn.Close(websocket.StatusTryAgainLater, "")
			return
		}
		transition, responses, refused := s.transition(&t)
		if refused != nil {
			s.tellRefused(ctx, refused, false)
		}
		for _, r := range responses {
			if s.send(ctx, r) != nil {
				return
			}
		}
		if transition != nil && s.send(ctx, transition) != nil {
			return
		}
	}
}

// transition is what the client is told next, nil for nothing. Before that its credential is looked at
// again: what was read for one who is not the client any more is not told. refused is why it is good no more.
func (s *convexSync) transition(t *actors.Transition) (out *convex.Transition, responses []*convex.MutationResponse, refused error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, before := s.refused, s.who.identity
	if err := s.look(); err != nil && was == nil {
		return nil, nil, err
	}
	if s.refused != nil || was != nil || !reflect.DeepEqual(before, s.who.identity) {
		return nil, nil, nil
	}
	ts := convex.TS(t.Commit)
	out = &convex.Transition{Type: "Transition", StartVersion: s.sent, Modifications: []convex.Modification{}}
	n := 0
	for ; n < len(s.asked) && s.asked[n].live <= t.Version; n++ {
		asked := &s.asked[n]
		s.untold -= 1 + len(asked.tell)
		s.sent.QuerySet, s.sent.Identity = asked.version.QuerySet, asked.version.Identity
		out.Modifications = append(out.Modifications, asked.tell...)
		if asked.response != nil {
			asked.response.TS = &ts
			responses = append(responses, asked.response)
		}
	}
	s.asked = slices.Delete(s.asked, 0, n)
	s.told.Broadcast()
	for _, r := range t.Changed {
		if slices.ContainsFunc(s.queries, func(q convexQuery) bool { return q.ID == r.ID }) {
			out.Modifications = append(out.Modifications, s.result(r))
		}
	}
	s.sent.TS = max(s.sent.TS, ts)
	if out.EndVersion = s.sent; out.EndVersion == out.StartVersion && len(out.Modifications)+len(responses) == 0 {
		out = nil // it says nothing
	}
	return out, responses, nil
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
		r = who.op.Request
	}
	return s.h.convexRun(r, s.app, who, kind, &call)
}

// failure is the response of a call that has failed.
func (s *convexSync) failure(kind string, request uint32, err error) *convex.MutationResponse {
	message, data := s.shown(err)
	text, _ := json.Marshal(message)
	return &convex.MutationResponse{Type: kind, RequestID: request, Result: bytes.TrimSpace(text), ErrorData: data, LogLines: []string{}}
}
