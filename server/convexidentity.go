package server

import (
	"context"
	"reflect"
	"time"

	"carillon/server/convex"
)

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

// look asks who the client is. Of one that is refused no query is live; for another one than before all
// are run anew, and told anew. The lock is held.
func (s *convexSync) look() error {
	asked := s.r.Clone(s.r.Context())
	if s.auth != "" {
		asked.Header.Set("Authorization", s.auth)
	}
	who, err := s.h.convexCaller(s.w, asked, s.rt)
	var until time.Time
	if err == nil && who.identity != nil {
		until = who.identity.ExpiresAt // which is not in what functions get
	}
	if err == nil {
		who.identity, err = who.identity.Normalize()
	}
	s.plan(until, err == nil && who.op != nil)
	was := s.refused
	if s.refused = err; err != nil {
		if was == nil {
			s.rest() // once: each change has the transition come that it is asked again before
		}
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

// watch asks who the client is when its credential ends, when the host wants it, and of an operator as often
// as for a request under way, until the connection ends: so what is not the client's any more stops though
// there is nothing to tell. The clock of the timer may stand still with the machine, and is not relied on.
func (s *convexSync) watch(ctx context.Context) {
	changed := s.h.opts.Connections.next()
	for {
		s.mu.Lock()
		again := s.again
		s.mu.Unlock()
		wait := syncPing
		if !again.IsZero() {
			wait = min(wait, time.Until(again))
		}
		select {
		case <-ctx.Done():
			return
		case <-s.sooner:
		case <-changed:
			changed = s.h.opts.Connections.next() // before it is asked, so that no change is missed
			_, _ = s.caller(ctx)
		case <-time.After(wait):
			if !again.IsZero() && !time.Now().Before(again) {
				_, _ = s.caller(ctx)
			}
		}
	}
}

// plan says when it is asked again who the client is, whose credential has been looked at now. One that has
// outlived its end, since clocks differ, is asked for as often as an operator. The lock is held.
func (s *convexSync) plan(until time.Time, operator bool) {
	before, now := s.again, time.Now()
	switch {
	case operator || !until.IsZero() && !until.After(now):
		s.again = now.Add(recheckEvery)
	default:
		s.again = until
	}
	if !s.again.IsZero() && (before.IsZero() || s.again.Before(before)) {
		select {
		case s.sooner <- struct{}{}:
		default:
		}
	}
}

// tellRefused tells the client that its credential is not good, or not any more: it has to bring another one.
func (s *convexSync) tellRefused(ctx context.Context, err error, attempted bool) {
	s.mu.Lock()
	base := max(s.wanted.Identity, 1) - 1
	s.mu.Unlock()
	f := s.h.failureOf(s.r, err)
	_ = s.send(ctx, convex.AuthError{Type: "AuthError", Error: f.Message, BaseVersion: base, AuthUpdateAttempted: attempted})
}
