package server

import (
	"context"
	"reflect"
	"slices"

	"github.com/coder/websocket"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/convex"
)

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

// rest has no query be live. The lock is held.
func (s *convexSync) rest() {
	var all []uint64
	for _, q := range s.queries {
		all = append(all, q.ID)
	}
	_, _ = s.live.Change(nil, all)
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
