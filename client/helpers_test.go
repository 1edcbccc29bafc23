package client_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/client"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

type note struct {
	Text string `json:"text"`
}

// site is a server over an engine with a few functions, on a loopback port, and clients of it.
type site struct {
	eng      *actors.Engine
	url      string
	cut      func()         // closes all connections
	client   *client.Client // of an operator
	app      *client.App    // "acme", of the operator
	user     *client.App    // the same for a client without a token
	tokens   chan string    // those of world:ask
	release  chan struct{}  // lets slow:wait return
	mu       sync.Mutex
	answered map[string]bool // method and pattern of what was answered with 2xx
}

// operatorToken is that of the operator of every site.
const operatorToken = "the operator's token"

func mustSite(tb testing.TB) *site {
	tb.Helper()
	s := &site{tokens: make(chan string, 1), release: make(chan struct{}), answered: map[string]bool{}}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	eng, err := actors.Open(tb.TempDir(), actors.Options{
		Functions: s.functions(), Volumes: 1, Logger: logger,
		Pools: []*dispatch.Pool{dispatch.NewPool("mail", 2)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.eng = eng
	handler := server.New(eng, server.Options{Logger: logger, BasePath: "/x/y", Operator: func(r *http.Request) (*server.Operator, error) {
		if r.Header.Get("Authorization") != "Bearer "+operatorToken {
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "this token is not good")
		}
		return &server.Operator{Name: "ann", AllApps: true, Scopes: server.Scopes()}, nil
	}})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w}
		handler.ServeHTTP(seen, r)
		if s.mu.Lock(); seen.status < 300 {
			s.answered[r.Method+" "+strings.TrimPrefix(r.Pattern, "/x/y")] = true
		}
		s.mu.Unlock()
	}))
	s.url, s.cut = srv.URL+"/x/y", srv.CloseClientConnections
	s.client = mustClient(tb, s.url, client.Options{Token: operatorToken})
	s.app, s.user = s.client.App("acme"), mustClient(tb, s.url, client.Options{}).App("acme")
	tb.Cleanup(func() {
		srv.Close()
		if err := eng.Check(); err != nil {
			tb.Error(err)
		}
		if err := eng.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func mustClient(tb testing.TB, url string, opts client.Options) *client.Client {
	tb.Helper()
	c, err := client.New(url, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *site) functions() *dispatch.Registry {
	notes := storage.NewTable[note]("notes")
	reg := dispatch.NewRegistry()
	dispatch.Mutation[note, storage.ID[note]]("notes:post").Handle(reg, func(ctx *dispatch.MutationCtx, n note) (storage.ID[note], error) {
		if n.Text == "" {
			return "", dispatch.Errorf(dispatch.CodeInvalidArgument, "want a text")
		}
		return notes.Insert(ctx.DB, n)
	})
	dispatch.Query[dispatch.None, int]("notes/all:count").Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		return notes.Query(ctx.DB).Count()
	})
	dispatch.Action[note, string]("world:echo").Handle(reg, func(_ *dispatch.ActionCtx, n note) (string, error) { return n.Text, nil })
	dispatch.InternalMutation[dispatch.None, string]("who:ami").Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (string, error) {
		id, err := ctx.Auth.Require()
		return id.Subject, err
	})
	dispatch.InternalMutation[dispatch.None, dispatch.None]("bad:job").Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) {
		return dispatch.None{}, dispatch.Permanent(dispatch.Errorf(dispatch.CodeOutOfRange, "as ever"))
	})
	dispatch.Action[dispatch.None, int]("world:ask").Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (int, error) {
		token, err := ctx.Pending(time.Hour)
		if err != nil {
			return 0, err
		}
		s.tokens <- token
		return 0, dispatch.ErrPending
	})
	dispatch.Action[dispatch.None, string]("slow:wait").Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (string, error) {
		<-s.release
		return "released", nil
	})
	return reg
}

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	return f(r)
}

// answerOf is an answer with a JSON body, and headers in pairs.
func answerOf(r *http.Request, status int, body string, headers ...string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	for i := 0; i < len(headers); i += 2 {
		resp.Header.Set(headers[i], headers[i+1])
	}
	return resp
}
