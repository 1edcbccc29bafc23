package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// told is an event as a client reads it.
type told struct {
	name, data string
	id         string // that the client would go on from now
	hasID      bool
	at         time.Time
}

// listener is a client of a stream of events.
type listener struct {
	status int
	header http.Header
	body   io.ReadCloser
	gate   chan struct{} // it reads no more until it is closed; nil: it reads

	mu       sync.Mutex
	events   []told
	comments int
	over     bool
	endedAt  time.Time
}

// mustListen begins to read a stream of the app acme. The query has what is behind the "?".
func mustListen(h *actorstest.Harness, client *http.Client, token, query, after string, gate chan struct{}) *listener {
	h.TB().Helper()
	req, err := http.NewRequestWithContext(h.Context(), "GET", "http://site/v1/apps/acme/events?"+query, nil)
	if err != nil {
		h.TB().Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	resp, err := client.Do(req)
	if err != nil {
		h.TB().Fatal(err)
	}
	l := &listener{status: resp.StatusCode, header: resp.Header, body: resp.Body, gate: gate}
	if l.status == http.StatusOK {
		go l.read()
		h.Settle()
	} else {
		body, err := io.ReadAll(resp.Body)
		l.body.Close()
		l.events = []told{{name: "refused", data: string(body)}}
		if err != nil {
			h.TB().Error(err)
		}
	}
	return l
}

func (l *listener) read() {
	if l.gate != nil {
		<-l.gate
	}
	lines := bufio.NewScanner(l.body)
	lines.Buffer(nil, 1<<20)
	var e told
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		l.mu.Lock()
		switch {
		case lines.Text() == "":
			if e.name != "" {
				e.at = time.Now()
				l.events = append(l.events, e)
			}
			e = told{id: e.id}
		case name == "event":
			e.name = value
		case name == "data":
			e.data = value
		case name == "id":
			e.id, e.hasID = value, true
		case name == "":
			l.comments++
		}
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.over, l.endedAt = true, time.Now()
	l.mu.Unlock()
}

// names are those of the events so far.
func (l *listener) names() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		names = append(names, e.name)
	}
	return names
}

func (l *listener) last() told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[len(l.events)-1]
}

// eventsEngine has a function work:do that fails unless it is given 1, tells of its progress
// and keeps at it for a second.
func eventsEngine() actors.Options {
	reg := dispatch.NewRegistry()
	dispatch.Action[int, string]("work:do").Handle(reg, func(ctx *dispatch.ActionCtx, n int) (string, error) {
		time.Sleep(time.Millisecond) // behind what tells of its start
		ctx.Progress(1, 2, "the secret note")
		time.Sleep(time.Second)
		if n != 1 {
			return "", dispatch.Permanent(dispatch.Errorf(dispatch.CodeAborted, "the secret text"))
		}
		return "the secret result", nil
	})
	dispatch.Mutation[int, dispatch.None]("work:plan").Handle(reg, func(ctx *dispatch.MutationCtx, n int) (dispatch.None, error) {
		for range n {
			if _, err := ctx.Scheduler.RunAfter(time.Hour, dispatch.Path("work:do").With(1), dispatch.Tags("many")); err != nil {
				return dispatch.None{}, err
			}
		}
		return dispatch.None{}, nil
	})
	return actors.Options{Functions: reg, Logger: slog.New(slog.DiscardHandler), IdleAfter: time.Hour}
}

var eventsOperators = operators{
	"all":   {Name: "all", AllApps: true, Scopes: server.Scopes()},
	"reads": {Name: "reads", AllApps: true, Scopes: []server.Scope{server.ScopeRead}},
}

func mustSchedule(h *actorstest.Harness, n int, tag string) storage.JobID {
	h.TB().Helper()
	id, err := h.Scheduler("acme").RunAfter(time.Second, dispatch.Path("work:do").With(n), dispatch.Tags(tag))
	if err != nil {
		h.TB().Fatal(err)
	}
	h.Settle()
	return id
}

// TestG36_EventsTellASnapshotAndEveryChange: what App.Watch tells, as server-sent events, with
// what is written by people and handlers for those alone who may read it.
func TestG36_EventsTellASnapshotAndEveryChange(t *testing.T) {
	actorstest.Run(t, eventsEngine(), func(h *actorstest.Harness) {
		client := h.Peer(server.New(h.Engine, server.Options{Operator: eventsOperators.hook}))
		first := mustSchedule(h, 1, "ann")
		mustSchedule(h, 1, "ben") // the filter does not choose it
		all := mustListen(h, client, "all", "tag=ann", "", nil)
		reads := mustListen(h, client, "reads", "tag=ann", "", nil)
		if got := all.names(); !slices.Equal(got, []string{"reset", "job", "ready"}) {
			t.Fatalf("the snapshot is %q", got)
		}
		for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
			if got := all.header.Get(name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
		h.Advance(3 * time.Second)
		mustSchedule(h, 2, "ann")
		h.Advance(3 * time.Second)
		want := []string{"reset", "job", "ready", "started", "progressed", "ended", "scheduled", "started", "progressed", "ended"}
		for who, l := range map[string]*listener{"all": all, "reads": reads} {
			if got := l.names(); !slices.Equal(got, want) {
				t.Fatalf("%s is told %q, want %q", who, got, want)
			}
			before := ""
			for i, e := range l.events {
				durable := slices.Contains([]string{"reset", "ready", "ended", "scheduled"}, e.name) // reset has an empty one
				if e.hasID != durable || (e.id == "") != (i < 2) || durable && i > 1 && e.id == before {
					t.Errorf("%s: event %d, %s, has the id %q", who, i, e.name, e.id)
				}
				before = e.id
				var data api.JobEvent
				if err := json.Unmarshal([]byte(e.data), &data); err != nil {
					t.Errorf("%s: %s: %v", e.name, e.data, err)
				}
				if (e.name == "progressed") != (data.Progress != nil && data.Progress.Done == 1 && data.Job == nil) && e.name != "ended" {
					t.Errorf("%s: %s", e.name, e.data)
				}
				if i > 2 && (data.Seq == 0 || data.ID == "" || (i < 6) != (data.ID == string(first))) {
					t.Errorf("%s is of no job, or of another: %s", e.name, e.data)
				}
			}
			text := fmt.Sprint(l.events)
			if may := who == "all"; strings.Contains(text, "the secret note") != may || strings.Contains(text, "the secret text") != may || strings.Contains(text, `"progress.note"`) == may {
				t.Errorf("%s is told %s", who, text)
			}
			if strings.Contains(text, "the secret result") {
				t.Errorf("%s is told a result", who)
			}
		}
		// One that goes on is told what came since, and no more.
		middle := all.events[5].id
		on := mustListen(h, client, "all", "tag=ann", middle, nil)
		h.Advance(time.Second)
		if got := on.names(); !slices.Equal(got, []string{"scheduled", "ended"}) {
			t.Errorf("one that goes on is told %q", got)
		}
		// One whose id is of something else begins again, and is told so.
		ofReads := reads.last().id
		for why, l := range map[string]*listener{
			"another filter":  mustListen(h, client, "all", "tag=ben", middle, nil),
			"other scopes":    mustListen(h, client, "all", "tag=ann", ofReads, nil),
			"a changed place": mustListen(h, client, "all", "tag=ann", strings.Replace(middle, ".", ".1", 1), nil),
			"no id":           mustListen(h, client, "all", "tag=ann", "what", nil),
			"a long one":      mustListen(h, client, "all", "tag=ann", strings.Repeat(".", 300), nil),
			"another handler": mustListen(h, h.Peer(server.New(h.Engine, server.Options{Operator: eventsOperators.hook})), "all", "tag=ann", middle, nil),
		} {
			if got := l.names(); len(got) < 2 || got[0] != "reset" || got[len(got)-1] != "ready" || !strings.Contains(l.events[0].data, "another stream") {
				t.Errorf("%s: %q %v", why, got, l.events)
			}
		}
		// What is in memory no more is told from the beginning.
		h.Restart()
		client = h.Peer(server.New(h.Engine, server.Options{Operator: eventsOperators.hook}))
		if l := mustListen(h, client, "all", "", "", nil); l.names()[0] != "reset" {
			t.Errorf("after a restart: %q", l.names())
		}
	})
}

// TestG36_AnIdIsOfOneApp: the id of an event of one app is none of another's.
func TestG36_AnIdIsOfOneApp(t *testing.T) {
	actorstest.Run(t, eventsEngine(), func(h *actorstest.Harness) {
		ids := map[storage.AppID]string{}
		handler := server.New(h.Engine, server.Options{Operator: eventsOperators.hook})
		listen := func(app storage.AppID, after string) string {
			ctx, stop := context.WithTimeout(h.Context(), time.Second)
			defer stop()
			r := httptest.NewRequestWithContext(ctx, "GET", "/v1/apps/"+string(app)+"/events", nil)
			r.Header.Set("Authorization", "Bearer all")
			r.Header.Set("Last-Event-ID", after)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w.Body.String()
		}
		for _, app := range []storage.AppID{"acme", "other"} {
			if _, err := h.Scheduler(app).RunAfter(time.Hour, dispatch.Path("work:do").With(1)); err != nil {
				t.Fatal(err)
			}
			_, id, _ := strings.Cut(listen(app, ""), "event: ready\nid: ")
			ids[app], _, _ = strings.Cut(id, "\n")
		}
		for app, id := range ids {
			if got := listen(app, id); strings.Contains(got, "event: reset") {
				t.Errorf("%s does not go on: %s", app, got)
			}
			if got := listen("acme", ids["other"]); !strings.Contains(got, "event: reset") {
				t.Errorf("one app goes on from an event of another: %s", got)
			}
		}
	})
}

// TestG36_AQuietStreamStaysAlive: a stream has a comment every 15 s, and none of the deadlines
// of other requests.
func TestG36_AQuietStreamStaysAlive(t *testing.T) {
	actorstest.Run(t, eventsEngine(), func(h *actorstest.Harness) {
		client := h.Peer(server.New(h.Engine, server.Options{Operator: eventsOperators.hook}))
		mustSchedule(h, 1, "ann")
		h.Advance(time.Minute)
		l := mustListen(h, client, "all", "", "", nil)
		h.Advance(10*time.Minute + time.Second)
		if got := l.comments; got != 41 { // the first says that the stream has begun
			t.Errorf("%d comments in 10 minutes", got)
		}
		mustSchedule(h, 1, "ann")
		if got := l.last().name; got != "scheduled" || l.over {
			t.Errorf("the last event is %s; over: %t", got, l.over)
		}
		// One that goes on, and has nothing to be told, is answered all the same.
		if on := mustListen(h, client, "all", "", l.last().id, nil); on.status != 200 || len(on.events) > 0 || h.Now().Sub(l.last().at) > 200*time.Millisecond {
			t.Errorf("one that goes on: %d %v, after %v", on.status, on.names(), h.Now().Sub(l.last().at))
		}
	})
}

// TestG36_AClientThatDoesNotRead is told that it was too slow, and begins again, and is cut when
// it has read nothing for half a minute. The app goes on meanwhile.
func TestG36_AClientThatDoesNotRead(t *testing.T) {
	actorstest.Run(t, eventsEngine(), func(h *actorstest.Harness) {
		client := h.Peer(server.New(h.Engine, server.Options{Operator: eventsOperators.hook}))
		mustSchedule(h, 1, "ann")
		slow, never := make(chan struct{}), make(chan struct{})
		defer close(never)
		late := mustListen(h, client, "all", "state=pending&tag=many", "", slow)
		dead := mustListen(h, client, "all", "", "", never)
		began := h.Now()
		// The few that it has taken already do not count; with those that are canceled the rest
		// are more than wait for it.
		for _, n := range []string{"200", "8100"} {
			if _, err := h.Call("acme", "work:plan", n); err != nil {
				t.Fatal(err)
			}
			h.Settle()
		}
		if took := h.Now().Sub(began); took > time.Second {
			t.Errorf("the app was slowed: %v", took)
		}
		if _, err := h.Scheduler("acme").CancelMany(storage.JobFilter{Tags: []string{"many"}}); err != nil {
			t.Fatal(err)
		}
		h.Advance(20 * time.Second)
		close(slow)
		h.Advance(time.Second)
		names := late.names()
		lagged := slices.Index(names, "lagged")
		if lagged < 0 || !slices.Equal(names[lagged:], []string{"lagged", "ready"}) || late.events[lagged].id != "" || late.over {
			t.Errorf("one that was too slow is told %d events, at the end %q", len(names), names[max(0, len(names)-3):])
		}
		h.Advance(15 * time.Second)
		if _, err := io.Copy(io.Discard, dead.body); err == nil {
			t.Error("the stream of a client that does not read goes on, or has ended well")
		}
	})
}

// TestARevokedOperatorHearsNoMore: a stream ends within a second of its operator's rights.
func TestARevokedOperatorHearsNoMore(t *testing.T) {
	actorstest.Run(t, eventsEngine(), func(h *actorstest.Harness) {
		mustSchedule(h, 1, "ann")
		tokens, now := h.Engine.Tokens(), h.Now()
		op := *eventsOperators["all"]
		revoked, id := mustToken(t, h.Engine, op, now, time.Time{})
		expires, _ := mustToken(t, h.Engine, op, now, now.Add(time.Minute))
		keeps, _ := mustToken(t, h.Engine, op, now, time.Time{})
		client := h.Peer(server.New(h.Engine, server.Options{Operator: server.Tokens(h.Engine)}))
		first, second, third := mustListen(h, client, revoked, "", "", nil), mustListen(h, client, expires, "", "", nil), mustListen(h, client, keeps, "", "", nil)
		h.AdvanceTo(now.Add(30*time.Second + 500*time.Millisecond))
		if known, err := tokens.Remove(id); !known || err != nil {
			t.Fatal(known, err)
		}
		h.AdvanceTo(now.Add(70 * time.Second))
		for name, tt := range map[string]struct {
			l    *listener
			when time.Time
		}{"revoked": {first, now.Add(30*time.Second + 500*time.Millisecond)}, "expired": {second, now.Add(time.Minute)}} {
			if e := tt.l.last(); !tt.l.over || e.name != "end" || !strings.Contains(e.data, `"unauthenticated"`) || tt.l.endedAt.Before(tt.when) || tt.l.endedAt.Sub(tt.when) > time.Second {
				t.Errorf("%s: the stream is over: %t, %v after that, with %v", name, tt.l.over, tt.l.endedAt.Sub(tt.when), e)
			}
		}
		if third.over {
			t.Error("the stream of an operator who may has ended")
		}
		// Of an operator whose scopes change nothing goes on that was begun with others.
		var asks atomic.Pointer[server.Operator]
		asks.Store(eventsOperators["all"])
		client = h.Peer(server.New(h.Engine, server.Options{Operator: func(*http.Request) (*server.Operator, error) { return asks.Load(), nil }}))
		l := mustListen(h, client, "", "", "", nil)
		asks.Store(eventsOperators["reads"])
		h.Advance(time.Second)
		if e := l.last(); !l.over || !strings.Contains(e.data, `"permission_denied"`) {
			t.Errorf("the scopes are others, and the last event is %v", e)
		}
	})
}

// TestStreamsAreBounded: of all streams, and of those of a client, and of an operator.
func TestStreamsAreBounded(t *testing.T) {
	opts := eventsEngine()
	opts.MaxWatched = 1
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustSchedule(h, 1, "ann")
		handler := server.New(h.Engine, server.Options{Operator: eventsOperators.hook, MaxStreams: 4})
		var streams sync.WaitGroup
		open := func(from, token string) (w *httptest.ResponseRecorder, stop func()) {
			ctx, cancel := context.WithCancel(h.Context())
			r := httptest.NewRequestWithContext(ctx, "GET", "/v1/apps/acme/events", nil)
			r.RemoteAddr = from + ":80"
			r.Header.Set("Authorization", "Bearer "+token)
			w = httptest.NewRecorder()
			streams.Go(func() { handler.ServeHTTP(w, r) })
			h.Settle()
			return w, func() { cancel(); h.Settle() }
		}
		var stops []func()
		for i := range 3 {
			w, stop := open(fmt.Sprintf("192.0.2.%d", i), "all")
			stops = append(stops, stop)
			if w.Code != 200 {
				t.Errorf("stream %d: %d", i, w.Code)
			}
		}
		if w, stop := open("192.0.2.9", "all"); w.Code != 429 || !strings.Contains(w.Body.String(), "operator all has 3 streams") {
			t.Errorf("a fourth of the operator: %d %s", w.Code, w.Body)
		} else {
			stop()
		}
		w, stop := open("192.0.2.9", "reads")
		stops = append(stops, stop)
		if w.Code != 200 {
			t.Errorf("a fourth, of another operator: %d %s", w.Code, w.Body)
		}
		if w, _ := open("192.0.2.10", "reads"); w.Code != 429 || !strings.Contains(w.Body.String(), "4 streams of events and long polls are open") {
			t.Errorf("a fifth: %d %s", w.Code, w.Body)
		}
		for _, stop := range stops {
			stop()
		}
		stops = nil
		for i, token := range []string{"all", "all", "reads"} {
			w, stop := open("192.0.2.1", token)
			stops = append(stops, stop)
			if w.Code != 200 {
				t.Errorf("stream %d of a client: %d", i, w.Code)
			}
		}
		if w, _ := open("192.0.2.1", "reads"); w.Code != 429 || !strings.Contains(w.Body.String(), "client 192.0.2.1 has 3 streams") {
			t.Errorf("a fourth of the client: %d %s", w.Code, w.Body)
		}
		for _, stop := range stops {
			stop()
		}
		// A filter that chooses too much is refused, and no stream begins; so is a bad one.
		mustSchedule(h, 1, "ann")
		for query, want := range map[string]string{"": `429 {"code":"resource_exhausted"`, "limit=3": `400 {"code":"invalid_argument"`, "count=true": `400 {"code":"invalid_argument"`, "argsContains=a": `400 {"code":"invalid_argument"`, "what=3": `400 {"code":"invalid_argument"`} {
			l := mustListen(h, h.Peer(handler), "all", query, "", nil)
			if got := fmt.Sprint(l.status, " ", l.events[0].data); !strings.HasPrefix(got, want) {
				t.Errorf("with %q: %s", query, got)
			}
		}
		streams.Wait()
	})
}

// TestShutdownEndsStreams: they are told that the server stops, and do not hold it up.
func TestShutdownEndsStreams(t *testing.T) {
	s := mustSite(t, server.Options{})
	if got := s.call(t, "acme", "notes:post", `{"text":"hi"}`); got.status != 200 {
		t.Fatal(got)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	handler := server.New(s.eng, server.Options{Admin: func(*http.Request) error { return nil }})
	go func() { done <- server.Serve(ctx, ln, handler, 10*time.Second, nil) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/v1/apps/acme/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rest := bufio.NewReader(resp.Body)
	for line := ""; line != "event: ready\n"; {
		if line, err = rest.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	stop()
	body, err := io.ReadAll(rest)
	if err != nil || !strings.HasSuffix(string(body), "event: end\ndata: {\"code\":\"unavailable\",\"message\":\"the server stops\"}\n\n") {
		t.Errorf("the stream is %s, %v", body, err)
	}
	if err := <-done; err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("the server ended after %v: %v", time.Since(began), err)
	}
}
