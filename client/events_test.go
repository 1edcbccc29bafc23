package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/client"
	"carillon/server/api"
)

// streams is a server of streams of events: each connection has the next text, and then hangs if that ends with
// "hang", or is cut. One that is none has an outcome instead.
type streams struct {
	texts    []string
	outcomes map[int]outcome // by connection
	last     []string        // header Last-Event-ID of each connection
	at       []time.Time
}

// RoundTrip implements http.RoundTripper.
func (s *streams) RoundTrip(r *http.Request) (*http.Response, error) {
	n := len(s.last)
	s.last, s.at = append(s.last, strings.Join(r.Header.Values("Last-Event-ID"), "|")), append(s.at, time.Now())
	if o, ok := s.outcomes[n]; ok {
		return (&script{outcomes: []outcome{o}}).RoundTrip(r)
	}
	resp := answerOf(r, 200, "", "Content-Type", "text/event-stream")
	text, hangs := strings.CutSuffix(s.texts[n], "hang")
	var rest io.Reader = cut{}
	if hangs {
		rest = hung{r.Context()}
	}
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(text), rest))
	return resp, nil
}

// cut is a connection that was lost.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// hung is a connection on which nothing comes any more.
type hung struct{ ctx context.Context }

func (h hung) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, context.Cause(h.ctx)
}

// The texts of events.
const (
	reset    = "event: reset\nid: \ndata: {\"reason\":\"the beginning\"}\n\n"
	lagged   = "event: lagged\nid: \ndata: {\"reason\":\"slow\"}\n\n"
	ready    = "event: ready\nid: r\ndata: {}\n\n"
	progress = "event: progressed\ndata: {\"seq\":1,\"id\":\"j\",\"progress\":{\"done\":1}}\n\n"
	stops    = "event: end\ndata: {\"code\":\"unavailable\",\"message\":\"the server stops\"}\n\n"
	revoked  = "event: end\ndata: {\"code\":\"unauthenticated\",\"message\":\"revoked\"}\n\n"
)

func jobEvent(name, id string) string {
	text := fmt.Sprintf("event: %s\ndata: {\"seq\":1,\"id\":\"j\",\"job\":{\"id\":\"j\",\"state\":\"pending\"}}\n", name)
	if id != "" {
		text += "id: " + id + "\n"
	}
	return text + "\n"
}

// TestEventsGoOn: over connections that are lost at every place, behind the last event that was yielded.
func TestEventsGoOn(t *testing.T) {
	scheduled, ended := jobEvent("scheduled", "a"), jobEvent("ended", "b")
	for _, tt := range []struct {
		name     string
		texts    []string
		outcomes map[int]outcome
		want     string // events and what they say to go on behind
		last     []string
		code     api.Code // at the end; "": that of the context, which ends when nothing more comes
	}{
		{"one connection", []string{": hello\n\n" + reset + jobEvent("job", "") + ready + scheduled + "hang"}, nil, "reset job ready@r scheduled@a", []string{""}, ""},
		{
			"lost behind an event",
			[]string{reset + ready + scheduled, ended + "hang"},
			nil,
			"reset ready@r scheduled@a ended@b",
			[]string{"", "a"},
			"",
		},
		{
			"lost in an event",
			[]string{reset + ready + scheduled + "event: ended\nid: b\ndata: {\"seq\":1}\n", ended + "hang"},
			nil,
			"reset ready@r scheduled@a ended@b",
			[]string{"", "a"},
			"",
		},
		{
			"lost behind the id of an event",
			[]string{reset + ready + scheduled + "id: b\n", ended + "hang"},
			nil,
			"reset ready@r scheduled@a ended@b",
			[]string{"", "a"},
			"",
		},
		{
			"lost behind an ephemeral one",
			[]string{reset + ready + scheduled + progress, ended + "hang"},
			nil,
			"reset ready@r scheduled@a progressed@a ended@b",
			[]string{"", "a"},
			"",
		},
		{
			"lost in the snapshot",
			[]string{reset + ready + scheduled, reset + jobEvent("job", ""), reset + jobEvent("job", "") + ready + "hang"},
			nil,
			"reset ready@r scheduled@a reset job reset job ready@r",
			[]string{"", "a", ""},
			"",
		},
		{"too slow", []string{reset + ready + lagged + ready + "hang"}, nil, "reset ready@r lagged ready@r", []string{""}, ""},
		{"the server stops", []string{reset + ready + stops, ended + "hang"}, nil, "reset ready@r ended@b", []string{"", "r"}, ""},
		{"the operator is let in no more", []string{reset + ready + revoked}, nil, "reset ready@r", []string{""}, api.CodeUnauthenticated},
		{
			"refused at first",
			[]string{},
			map[int]outcome{0: {status: 404, body: `{"code":"not_found","message":"no such app"}`}},
			"",
			[]string{""},
			api.CodeNotFound,
		},
		{
			"refused later",
			[]string{reset + ready + scheduled},
			map[int]outcome{1: {status: 403, body: `{"code":"permission_denied","message":"x"}`}},
			"reset ready@r scheduled@a",
			[]string{"", "a"},
			api.CodePermissionDenied,
		},
		{
			"restarted",
			[]string{reset + ready + scheduled, "", "", "", "", "", ended + "hang"},
			map[int]outcome{1: unreached, 2: unreached, 3: badGateway, 4: closing, 5: unreached},
			"reset ready@r scheduled@a ended@b",
			[]string{"", "a", "a", "a", "a", "a", "a"},
			"",
		},
		{"never there", []string{}, map[int]outcome{0: unreached, 1: unreached, 2: unreached}, "", []string{"", "", ""}, api.CodeUnavailable},
		{
			"as many streams as there may be, for a while",
			[]string{reset + ready, "", ended + "hang"},
			map[int]outcome{1: {status: 429, body: `{"code":"resource_exhausted","message":"1,024 streams"}`}},
			"reset ready@r ended@b",
			[]string{"", "r", "r"},
			"",
		},
		{"no event", []string{reset + "event: ended\ndata: x\n\n"}, nil, "reset", []string{""}, api.CodeUnimplemented},
		{"an event without end", []string{reset + "data: " + strings.Repeat("x", 1<<20)}, nil, "reset", []string{""}, api.CodeResourceExhausted},
		{"no stream", []string{}, map[int]outcome{0: served}, "", []string{""}, api.CodeUnimplemented},
		{"silence", []string{reset + ready + "hang", ended + "hang"}, nil, "reset ready@r ended@b", []string{"", "r"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &streams{texts: tt.texts, outcomes: tt.outcomes}
				c := mustClient(t, "http://127.0.0.1:1", client.Options{Attempts: 3, HTTP: &http.Client{Transport: s}})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				wait := 10 * time.Second
				if tt.name == "silence" {
					wait = time.Minute
				}
				time.AfterFunc(wait, cancel)
				var got []string
				var err error
				for e, failed := range c.App("acme").Events(ctx, api.JobFilter{}, "") {
					if err != nil {
						t.Fatalf("%v was not the last, but %v %v", err, e, failed)
					}
					if err = failed; err != nil {
						continue
					}
					text := string(e.Kind)
					if e.After != "" {
						text += "@" + e.After
					}
					got = append(got, text)
				}
				want := tt.code
				if want == "" {
					want = api.CodeCanceled
				}
				if strings.Join(got, " ") != tt.want || !slices.Equal(s.last, tt.last) || !errors.Is(err, want) || (tt.code == "") != errors.Is(err, context.Canceled) {
					t.Errorf("got %q by connections behind %q, want %q by %q; %v, want %s", got, s.last, tt.want, tt.last, err, want)
				}
			})
		})
	}
}

// TestASlowLoopIsNoSilence: a loop may take as long as it likes for an event.
func TestASlowLoopIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &streams{texts: []string{reset + ready + jobEvent("ended", "b") + "hang"}}
		c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: s}})
		n := 0
		for _, err := range c.App("acme").Events(t.Context(), api.JobFilter{}, "") {
			if err != nil {
				t.Fatal(err)
			}
			if time.Sleep(time.Hour); n == 2 {
				break
			}
			n++
		}
		if n != 2 || len(s.last) != 1 {
			t.Errorf("%d events by %d connections", n, len(s.last))
		}
	})
}

// TestEventsOfAServer: the changes of an app's jobs, over a connection that is cut and a loop that goes on behind
// another one's event.
func TestEventsOfAServer(t *testing.T) {
	s := mustSite(t)
	schedule := func(id string) {
		if _, err := s.app.Schedule(t.Context(), api.JobRequest{Function: "notes:post", AfterMs: new(int64(3_600_000)), ID: &id}, note{"hi"}); err != nil {
			t.Fatal(err)
		}
	}
	schedule("first")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	after := ""
	for e, err := range s.app.Events(ctx, api.JobFilter{States: []api.State{api.StatePending}}, "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(e.Kind)+" "+e.ID)
		switch {
		case e.Kind == api.EventReady:
			s.cut()
			schedule("second")
		case e.ID == "second":
			after = e.After
		}
		if after != "" {
			break
		}
	}
	schedule("third")
	for e, err := range s.app.Events(ctx, api.JobFilter{States: []api.State{api.StatePending}}, after) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(e.Kind)+" "+e.ID)
		break
	}
	if want := []string{"reset ", "job first", "ready ", "scheduled second", "scheduled third"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
