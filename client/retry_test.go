package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/client"
	"carillon/server/api"
)

// outcome is what becomes of one attempt.
type outcome struct {
	status int // 0: there is no answer, but err
	body   string
	err    error
	after  string // header Retry-After
	html   bool   // the answer is a proxy's
}

var (
	served     = outcome{status: 200, body: `{"result":{"jobId":"j","jobs":1,"changed":true,"status":"ok"}}`}
	lost       = outcome{err: io.ErrUnexpectedEOF}
	unreached  = outcome{err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}}
	closing    = outcome{status: 503, body: `{"code":"unavailable","message":"not now"}`, after: "1"}
	crowded    = outcome{status: 429, body: `{"code":"resource_exhausted","message":"too many"}`, after: "2"}
	overLimit  = outcome{status: 429, body: `{"code":"resource_exhausted","message":"10,000 jobs"}`}
	doubtful   = outcome{status: 500, body: `{"code":"unknown","message":"outcome of the commit is unknown"}`}
	fault      = outcome{status: 500, body: `{"code":"internal","message":"internal error","requestId":"R"}`}
	badGateway = outcome{status: 502, body: `<html>`, html: true}
	absent     = outcome{status: 404, body: `{"code":"not_found","message":"no job"}`}
)

// script is a server of which each attempt has the next outcome, and the last one for ever.
type script struct {
	outcomes []outcome
	keys     []string // of the attempts
	bodies   []string
	at       []time.Time
}

// RoundTrip implements http.RoundTripper.
func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.keys, s.at = append(s.keys, r.Header.Get("Idempotency-Key")), append(s.at, time.Now())
	body := ""
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(text)
		r.Body.Close()
	}
	s.bodies = append(s.bodies, body)
	o := s.outcomes[min(len(s.keys), len(s.outcomes))-1]
	if o.status == 0 {
		return nil, o.err
	}
	resp := answerOf(r, o.status, o.body)
	if o.after != "" {
		resp.Header.Set("Retry-After", o.after)
	}
	if o.html {
		resp.Header.Set("Content-Type", "text/html")
	}
	return resp, nil
}

func (s *script) client(tb testing.TB, opts client.Options) *client.Client {
	opts.HTTP = &http.Client{Transport: s}
	return mustClient(tb, "http://127.0.0.1:1", opts)
}

// The kinds of requests.
var asked = map[string]func(context.Context, *client.Client) error{
	"action": func(ctx context.Context, c *client.Client) error {
		_, err := client.Action[any](ctx, c.App("acme"), "mail:send", 1)
		return err
	},
	"import": func(ctx context.Context, c *client.Client) error {
		_, err := c.App("acme").Import(ctx, strings.NewReader("export"))
		return err
	},
	"change": func(ctx context.Context, c *client.Client) error { return c.App("acme").Run(ctx, "j") },
	"trigger run": func(ctx context.Context, c *client.Client) error {
		_, err := c.App("acme").RunCron(ctx, "daily")
		return err
	},
	"call": func(ctx context.Context, c *client.Client) error {
		_, err := client.Call[any](ctx, c.App("acme"), "notes:post", 1)
		return err
	},
	"schedule": func(ctx context.Context, c *client.Client) error {
		_, err := c.App("acme").Schedule(ctx, api.JobRequest{Function: "mail:send"}, 1)
		return err
	},
	"read": func(ctx context.Context, c *client.Client) error {
		_, err := c.App("acme").Job(ctx, "j")
		return err
	},
	"set": func(ctx context.Context, c *client.Client) error { return c.App("acme").LimitPool(ctx, "mail", 2) },
}

// TestWhatIsRepeated: which requests are sent once more after which outcomes.
func TestWhatIsRepeated(t *testing.T) {
	all := []string{"action", "import", "change", "trigger run", "call", "schedule", "read", "set"}
	sure, keyed := all[2:], all[4:] // repeated if certainly nothing was done, and always
	for _, tt := range []struct {
		name     string
		outcome  outcome
		repeated []string
		code     api.Code
	}{
		{"the server is not reached", unreached, sure, api.CodeUnavailable},
		{"the server stops", closing, sure, api.CodeUnavailable},
		{"there are too many requests", crowded, sure, api.CodeResourceExhausted},
		{"the answer is lost", lost, keyed, api.CodeUnknown},
		{"the outcome is unknown", doubtful, keyed, api.CodeUnknown},
		{"a proxy has lost it", badGateway, keyed, api.CodeUnavailable},
		{"a limit is reached", overLimit, nil, api.CodeResourceExhausted},
		{"the server has a fault", fault, nil, api.CodeInternal},
		{"there is none", absent, nil, api.CodeNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, what := range all {
				synctest.Test(t, func(t *testing.T) {
					s := &script{outcomes: []outcome{tt.outcome, served}}
					err := asked[what](t.Context(), s.client(t, client.Options{}))
					want := 1
					if slices.Contains(tt.repeated, what) {
						want = 2
					}
					if len(s.keys) != want || (err == nil) != (want == 2) || err != nil && !errors.Is(err, tt.code) {
						t.Errorf("%s: %d attempts, want %d, and %v", what, len(s.keys), want, err)
					}
				})
			}
		})
	}
}

// TestAttemptsHaveOneKey: the attempts of one call have one key and one body, each call has a key of its
// own, and what is no call of a function or a schedule has none.
func TestAttemptsHaveOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]bool{}
		for what, ask := range asked {
			s := &script{outcomes: []outcome{lost, doubtful, closing, served}}
			c := s.client(t, client.Options{})
			for range 2 {
				first := len(s.keys)
				err := ask(t.Context(), c)
				keys, bodies := slices.Compact(slices.Clone(s.keys[first:])), slices.Compact(slices.Clone(s.bodies[first:]))
				if len(keys) != 1 || len(bodies) != 1 {
					t.Errorf("%s: the keys are %q and the bodies %q", what, keys, bodies)
				}
				if keyed := what == "call" || what == "schedule"; keyed != (keys[0] != "") || keyed && (seen[keys[0]] || err != nil) {
					t.Errorf("%s: the key is %q, %v", what, keys[0], err)
				}
				seen[keys[0]] = true
			}
			given := client.WithIdempotencyKey(t.Context(), "mine")
			first := len(s.keys)
			_ = ask(given, c)
			if want := what == "call" || what == "schedule" || what == "action"; want != (s.keys[first] == "mine") {
				t.Errorf("%s: the key is %q", what, s.keys[first])
			}
		}
		for key, ok := range map[string]bool{"": false, "a b": false, "ä": false, "x\n": false, "k": true, strings.Repeat("k", 255): true, strings.Repeat("k", 256): false} {
			s := &script{outcomes: []outcome{served}}
			err := asked["call"](client.WithIdempotencyKey(t.Context(), key), s.client(t, client.Options{}))
			if ok != (err == nil) || err != nil && (!errors.Is(err, api.CodeInvalidArgument) || len(s.keys) > 0) {
				t.Errorf("key %.8q: %v, %d attempts", key, err, len(s.keys))
			}
		}
	})
}

// TestWithoutKeys: what has no key is a change like any other.
func TestWithoutKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, what := range []string{"call", "schedule"} {
			for o, want := range map[*outcome]int{&lost: 1, &doubtful: 1, &badGateway: 1, &unreached: 2, &closing: 2} {
				s := &script{outcomes: []outcome{*o, served}}
				_ = asked[what](t.Context(), s.client(t, client.Options{NoKeys: true}))
				if len(s.keys) != want || s.keys[0] != "" {
					t.Errorf("%s after %v: the keys are %q, want %d attempts", what, *o, s.keys, want)
				}
			}
			s := &script{outcomes: []outcome{lost, served}}
			if err := asked[what](client.WithIdempotencyKey(t.Context(), "k"), s.client(t, client.Options{NoKeys: true})); err != nil || !slices.Equal(s.keys, []string{"k", "k"}) {
				t.Errorf("%s with a key: the keys are %q, %v", what, s.keys, err)
			}
		}
	})
}

// TestWaitsBetweenAttempts: they double up to the longest, are cut by up to a half, and are no shorter than
// the server asks for.
func TestWaitsBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		varied := map[time.Duration]bool{}
		for range 20 {
			s := &script{outcomes: []outcome{lost}}
			opts := client.Options{Attempts: 7, Backoff: time.Second, MaxBackoff: 10 * time.Second}
			err := asked["read"](t.Context(), s.client(t, opts))
			if failed, ok := errors.AsType[*client.Error](err); !ok || failed.Attempts != 7 || len(s.at) != 7 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%d attempts, %v", len(s.at), err)
			}
			for i, most := range []time.Duration{1, 2, 4, 8, 10, 10} {
				most *= time.Second
				if wait := s.at[i+1].Sub(s.at[i]); wait <= most/2-1 || wait > most {
					t.Errorf("wait %d is %s, want up to %s", i, wait, most)
				} else if i == 0 {
					varied[wait] = true
				}
			}
		}
		if len(varied) < 10 {
			t.Errorf("20 first waits are %d different ones", len(varied))
		}
		s := &script{outcomes: []outcome{crowded, served}}
		if err := asked["read"](t.Context(), s.client(t, client.Options{})); err != nil || s.at[1].Sub(s.at[0]) < 2*time.Second {
			t.Errorf("attempts at %v, %v", s.at, err)
		}
		// As long as Retry-After, and longer than is waited for.
		for most, want := range map[time.Duration]int{2 * time.Second: 2, 2*time.Second - 1: 1} {
			s := &script{outcomes: []outcome{crowded, served}}
			err := asked["read"](t.Context(), s.client(t, client.Options{Backoff: time.Second, MaxBackoff: most}))
			if failed, _ := errors.AsType[*client.Error](err); len(s.at) != want || want == 1 && failed.RetryAfter != 2*time.Second {
				t.Errorf("with %s: %d attempts, %v", most, len(s.at), err)
			}
		}
		for n := 1; n <= 3; n++ {
			s := &script{outcomes: []outcome{lost}}
			if _ = asked["read"](t.Context(), s.client(t, client.Options{Attempts: n})); len(s.at) != n {
				t.Errorf("%d attempts, want %d", len(s.at), n)
			}
		}
	})
}

// TestContextEndsAttempts: in an attempt, between two, and before a wait that it would not outlast.
func TestContextEndsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: hang}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		err := asked["read"](ctx, c)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, api.CodeDeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		if err := asked["read"](ctx, c); !errors.Is(err, api.CodeDeadlineExceeded) {
			t.Errorf("a context that has ended: %v", err)
		}

		s := &script{outcomes: []outcome{lost}}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		begun = time.Now()
		err = asked["call"](ctx, s.client(t, client.Options{Backoff: time.Minute, MaxBackoff: time.Minute}))
		if !errors.Is(err, context.Canceled) || !errors.Is(err, api.CodeCanceled) || time.Since(begun) != 100*time.Millisecond || !strings.Contains(err.Error(), "unexpected EOF") {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}

		s = &script{outcomes: []outcome{closing}}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		begun = time.Now()
		if err := asked["call"](ctx, s.client(t, client.Options{})); !errors.Is(err, api.CodeUnavailable) || time.Since(begun) != 0 || len(s.at) != 1 {
			t.Errorf("after %s and %d attempts: %v", time.Since(begun), len(s.at), err)
		}
	})
}

// TestAttemptTimeout: an attempt that hangs is followed by another, if that is safe.
func TestAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, want := range map[string]int{"call": 2, "read": 2, "action": 1, "change": 1} {
			n := 0
			hang := transport(func(r *http.Request) (*http.Response, error) {
				if n++; n > 1 {
					return answerOf(r, 200, served.body), nil
				}
				<-r.Context().Done()
				return nil, context.Cause(r.Context())
			})
			c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: hang}, AttemptTimeout: time.Second})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			begun := time.Now()
			err := asked[what](ctx, c)
			if took := time.Since(begun); n != want || (err == nil) != (want == 2) || (want == 2) != (took < 2*time.Second) {
				t.Errorf("%s: %d attempts in %s, %v", what, n, took, err)
			}
			cancel()
		}
	})
}

// TestHeadersOfARequest: whose it is, and of which trace.
func TestHeadersOfARequest(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tt := range []struct{ parent, state, wantParent, wantState string }{
		{"", "", "", ""},
		{parent, "", parent, ""},
		{parent, "a=b", parent, "a=b"},
		{parent, "a\n=b", parent, ""},
		{"00\n", "a=b", "", ""},
	} {
		var got http.Header
		c := mustClient(t, "http://127.0.0.1:1/base/", client.Options{Token: "secret", HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			got = r.Header
			if want := "/base/v1/apps/acme/jobs/a%2Fb%3F"; r.URL.EscapedPath() != want {
				t.Errorf("the path is %s, want %s", r.URL.EscapedPath(), want)
			}
			return answerOf(r, 200, served.body), nil
		})}})
		if _, err := c.App("acme").Job(client.WithTrace(t.Context(), tt.parent, tt.state), "a/b?"); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{"Traceparent": tt.wantParent, "Tracestate": tt.wantState, "Authorization": "Bearer secret", "User-Agent": "carillon-client"} {
			if got.Get(name) != want {
				t.Errorf("%v: %s is %q, want %q", tt, name, got.Get(name), want)
			}
		}
	}
}

// TestBadOptions: each is refused by name, and nothing is sent.
func TestBadOptions(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:8377", "ftp://127.0.0.1", "http://", "http://a/?q", "http://a/#f", "http://u:p@a/", "http://a:b:c"} {
		if _, err := client.New(url, client.Options{}); !errors.Is(err, api.CodeInvalidArgument) {
			t.Errorf("%q: %v", url, err)
		}
	}
	for want, opts := range map[string]client.Options{
		"Attempts": {Attempts: -1}, "Backoff": {Backoff: -1}, "MaxBackoff": {Backoff: time.Second, MaxBackoff: time.Millisecond},
		"AttemptTimeout": {AttemptTimeout: -1}, "MaxAnswer": {MaxAnswer: -1}, "Token": {Token: "a\nb"}, "UserAgent": {UserAgent: "a\r"},
	} {
		if _, err := client.New("http://127.0.0.1:1", opts); !errors.Is(err, api.CodeInvalidArgument) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	c := (&script{outcomes: []outcome{served}}).client(t, client.Options{})
	for _, name := range []string{"", ".", ".."} {
		if _, err := c.App(name).Status(t.Context()); !errors.Is(err, api.CodeInvalidArgument) {
			t.Errorf("app %q: %v", name, err)
		}
		if err := c.App("acme").Drop(t.Context(), name); !errors.Is(err, api.CodeInvalidArgument) {
			t.Errorf("job %q: %v", name, err)
		}
	}
}
