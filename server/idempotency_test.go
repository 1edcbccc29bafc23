package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"carillon/dispatch"
	"carillon/server"
)

// keyedRequest is a call of the function with those headers Idempotency-Key.
func (s *site) keyedRequest(tb testing.TB, function, args string, keys ...string) *http.Request {
	tb.Helper()
	req := s.mustRequest(tb, http.MethodPost, "/v1/apps/acme/functions/"+function, strings.NewReader(args))
	for _, key := range keys {
		req.Header.Add("Idempotency-Key", key)
	}
	return req
}

// TestG39_ARepeatOverHTTP: it is answered as the first call was, whose credential is looked at before;
// what is no key, is of another body or for an action is refused, and a query does without.
func TestG39_ARepeatOverHTTP(t *testing.T) {
	s := mustSite(t, server.Options{Identify: func(r *http.Request) (*dispatch.Identity, error) {
		switch who := r.Header.Get("Authorization"); who {
		case "":
			return nil, nil
		case "Bearer ann", "Bearer bob":
			return &dispatch.Identity{Subject: who}, nil
		}
		return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "bad")
	}})
	as := func(who string) reply {
		req := s.keyedRequest(t, "notes:post", `{"text":"hi"}`, "k")
		if who != "" {
			req.Header.Set("Authorization", who)
		}
		return s.mustSend(t, req)
	}
	first := as("")
	if again := as(""); first.status != 200 || again.status != 200 || again.body != first.body {
		t.Errorf("got %d %s, and then %d %s", first.status, first.body, again.status, again.body)
	}
	ann, bob := as("Bearer ann"), as("Bearer bob")
	if ann.status != 200 || bob.status != 200 || ann.body == bob.body || ann.body == first.body {
		t.Errorf("one key of three is answered %s, %s and %s", first.body, ann.body, bob.body)
	}
	if again := as("Bearer ann"); again.body != ann.body {
		t.Errorf("ann is answered %s and %s", ann.body, again.body)
	}
	if got := as("Bearer bad"); got.status != 401 {
		t.Errorf("a bad credential with a key that was used: %d %s", got.status, got.body)
	}
	for _, tt := range []struct {
		function, args string
		keys           []string
		status         int
		want           string
	}{
		{"notes:post", `{"text":"other"}`, []string{"k"}, 400, `"code":"invalid_argument","path":"notes:post","message":"the idempotency key is that of another call"`},
		{"notes:post", `{ "text" : "hi" }`, []string{"k"}, 200, first.body},
		{"notes:post", `{"text":"hi"}`, []string{"k", "k"}, 400, "2 headers Idempotency-Key"},
		{"notes:post", `{"text":"hi"}`, []string{""}, 400, "want 1 to 255"},
		{"notes:post", `{"text":"hi"}`, []string{strings.Repeat("k", 256)}, 400, "want 1 to 255"},
		{"notes:post", `{"text":"hi"}`, []string{"a b"}, 400, "want 1 to 255"},
		{"notes:post", `{"text":"hi"}`, []string{strings.Repeat("k", 255)}, 200, `{"result":`},
		{"slow:wait", `{}`, []string{"a"}, 400, "an action has no idempotency key"},
		{"notes/all:count", ``, []string{"q"}, 200, `{"result":4}`},
		{"notes/all:count", ``, []string{"a b"}, 400, "want 1 to 255"},
	} {
		if got := s.mustSend(t, s.keyedRequest(t, tt.function, tt.args, tt.keys...)); got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s %s with %.8q: %d %s, want %d with %s", tt.function, tt.args, tt.keys, got.status, got.body, tt.status, tt.want)
		}
	}
	if got := s.call(t, "acme", "notes/all:count", ""); !strings.Contains(got.body, `{"result":4}`) {
		t.Errorf("notes are %s", got.body)
	}
}

// TestG39_TwoAtOnceOverHTTP: the second waits for the first, whose client has gone away meanwhile,
// and is answered with its result.
func TestG39_TwoAtOnceOverHTTP(t *testing.T) {
	s := mustSite(t, server.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	req := s.keyedRequest(t, "slow:post", `{"text":"hi"}`, "k").WithContext(ctx)
	go func() {
		resp, err := s.client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		gone <- err
	}()
	<-s.started
	answers := make(chan reply, 2)
	for range 2 {
		again := s.keyedRequest(t, "slow:post", `{"text":"hi"}`, "k")
		go func() { answers <- s.mustSend(t, again) }()
	}
	cancel()
	if err := <-gone; err == nil {
		t.Error("the client that has gone away was answered")
	}
	close(s.release)
	one, two := <-answers, <-answers
	if one.status != 200 || one.body != two.body {
		t.Errorf("they are answered %d %s and %s", one.status, one.body, two.body)
	}
	if got := s.call(t, "acme", "notes/all:count", ""); !strings.Contains(got.body, `{"result":1}`) {
		t.Errorf("notes are %s", got.body)
	}
}

// TestG39_ARepeatedScheduleOverHTTP: it is answered as the first, though its job has ended; one that
// is another, also in the identity that it runs as, is refused.
func TestG39_ARepeatedScheduleOverHTTP(t *testing.T) {
	s := mustAdminSite(t)
	schedule := func(body string) reply {
		req := s.mustRequest(t, http.MethodPost, "/v1/apps/acme/jobs", strings.NewReader(body))
		req.Header.Set("Idempotency-Key", "k")
		req.Header.Set("Authorization", "Bearer s3cret")
		return s.mustSend(t, req)
	}
	const body = `{"function":"notes:post","args":{"text":"hi"},"afterMs":3600000,"as":{"subject":"service:ann"}`
	first := schedule(body + "}")
	again := schedule(body + " }")
	if first.status != 201 || again.status != 201 || again.body != first.body || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("got %d %s, and then %d %s", first.status, first.body, again.status, again.body)
	}
	for _, other := range []string{body + `,"priority":1}`, strings.Replace(body, "ann", "bob", 1) + "}", strings.Replace(body, "hi", "ho", 1) + "}"} {
		if got := schedule(other); got.status != 400 || !strings.Contains(got.body, "that of another call") {
			t.Errorf("%s: %d %s", other, got.status, got.body)
		}
	}
	if got := s.jobs(t, "GET", "/jobs", ""); strings.Count(got.body, `"id":`) != 1 {
		t.Errorf("the jobs are %s", got.body)
	}
}
