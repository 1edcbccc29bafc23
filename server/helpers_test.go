package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

type note struct {
	Text string `json:"text"`
}

var notes = storage.NewTable[note]("notes")

type noteRef struct {
	ID storage.ID[note] `json:"id"`
}

// values are of types that JSON does not tell apart from others.
type values struct {
	N int64  `json:"n"`
	B []byte `json:"b"`
}

// site is a server over an engine with a few functions, on a loopback port.
type site struct {
	url     string
	client  *http.Client
	eng     *actors.Engine
	log     *logBuffer
	started chan struct{} // told when slow:wait has begun
	ended   chan error    // told why slow:wait's context ended
	release chan struct{} // lets slow:wait return
	tokens  chan string   // those of world:ask
}

func mustSite(tb testing.TB, opts server.Options) *site {
	tb.Helper()
	s := &site{
		log:     new(logBuffer),
		started: make(chan struct{}, 1),
		ended:   make(chan error, 1),
		release: make(chan struct{}),
		tokens:  make(chan string, 1),
	}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	eng, err := actors.Open(tb.TempDir(), actors.Options{
		Functions: s.functions(), Volumes: 1, Logger: logger, Tables: []storage.Schema{notes},
		Pools: []*dispatch.Pool{dispatch.NewPool("mail", 2, dispatch.Rate(100, time.Second)), dispatch.NewPool("none", 1)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.eng = eng
	opts.Logger = logger
	srv := httptest.NewUnstartedServer(documented(tb, server.New(eng, opts), opts.BasePath))
	srv.Config.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	srv.Start()
	s.url, s.client = srv.URL, srv.Client()
	tb.Cleanup(func() {
		srv.Close()
		if err := eng.Check(); err != nil && !errors.Is(err, storage.ErrClosed) {
			tb.Error(err)
		}
		if err := eng.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func (s *site) functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	dispatch.Mutation[note, storage.ID[note]]("notes:post").Handle(reg, func(ctx *dispatch.MutationCtx, n note) (storage.ID[note], error) {
		return notes.Insert(ctx.DB, n)
	})
	dispatch.Query[noteRef, note]("notes:read").Handle(reg, func(ctx *dispatch.QueryCtx, args noteRef) (note, error) {
		return notes.Get(ctx.DB, args.ID)
	})
	dispatch.Query[dispatch.None, int]("notes/all:count").Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		return notes.Query(ctx.DB).Count()
	})
	dispatch.InternalMutation[dispatch.None, dispatch.None]("notes:wipe").Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) {
		return dispatch.None{}, nil
	})
	dispatch.Query[note, int]("text:length").Handle(reg, func(_ *dispatch.QueryCtx, n note) (int, error) {
		return len(n.Text), nil
	})
	dispatch.Query[dispatch.None, string]("who:ami").Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (string, error) {
		id, err := ctx.Auth.Require()
		return id.Subject, err
	})
	dispatch.Query[values, values]("values:of").Handle(reg, func(_ *dispatch.QueryCtx, v values) (values, error) { return v, nil })
	dispatch.Query[dispatch.None, map[string]int]("values:keys").Handle(reg, func(*dispatch.QueryCtx, dispatch.None) (map[string]int, error) {
		return map[string]int{"é": 1}, nil
	})
	dispatch.Mutation[dispatch.None, dispatch.None]("bad:none").Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) {
		return dispatch.None{}, nil
	})
	dispatch.Query[dispatch.None, dispatch.None]("bad:error").Handle(reg, func(*dispatch.QueryCtx, dispatch.None) (dispatch.None, error) {
		return dispatch.None{}, errors.New("the secret detail")
	})
	dispatch.Mutation[dispatch.None, dispatch.None]("bad:panic").Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) {
		panic("the secret detail")
	})
	dispatch.InternalMutation[dispatch.None, dispatch.None]("bad:job").Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) {
		return dispatch.None{}, dispatch.Errorf(dispatch.CodeUnavailable, "as ever")
	})
	for _, code := range dispatch.Codes() {
		dispatch.Query[dispatch.None, dispatch.None]("code:"+string(code)).Handle(reg, func(*dispatch.QueryCtx, dispatch.None) (dispatch.None, error) {
			return dispatch.None{}, dispatch.Errorf(code, "as asked")
		})
	}
	dispatch.Action[dispatch.None, string]("slow:save").Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (string, error) {
		ctx.Progress(1, 3, "the secret note")
		ctx.Log.Info("the secret line")
		if err := ctx.Checkpoint(note{"the secret checkpoint"}); err != nil {
			return "", err
		}
		s.started <- struct{}{}
		<-s.release
		return "the secret result", nil
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
		s.started <- struct{}{}
		select {
		case <-ctx.Done():
			s.ended <- ctx.Err()
			return "", ctx.Err()
		case <-s.release:
			return "released", nil
		}
	})
	dispatch.Mutation[note, storage.ID[note]]("slow:post").Handle(reg, func(ctx *dispatch.MutationCtx, n note) (storage.ID[note], error) {
		s.started <- struct{}{}
		<-s.release
		return notes.Insert(ctx.DB, n)
	})
	return reg
}

// reply is an answer as a client sees it.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *site) mustSend(tb testing.TB, req *http.Request) reply {
	tb.Helper()
	resp, err := s.client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" && req.Method != http.MethodHead {
		tb.Errorf("%s %s: content type %q, body %s", req.Method, req.URL.Path, got, body)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func (s *site) mustRequest(tb testing.TB, method, path string, body io.Reader) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, s.url+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

// call runs a function of the app.
func (s *site) call(tb testing.TB, app, function, args string) reply {
	tb.Helper()
	return s.mustSend(tb, s.mustRequest(tb, http.MethodPost, "/v1/apps/"+app+"/functions/"+function, strings.NewReader(args)))
}

// logBuffer is a log that tests read while others write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
