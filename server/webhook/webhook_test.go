package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server/webhook"
	"carillon/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", webhook.MinSecretSize)))

// receiver answers each request as it is told to, and keeps them.
type receiver struct {
	answers []answer
	ids     []string
	alerts  []dispatch.Alert
	bad     []error
}

// answer is one of a receiver.
type answer struct {
	code  int
	after string
	err   error
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = webhook.Verify(secret, req.Header, body, time.Now())
	}
	var alert dispatch.Alert
	r.bad = append(r.bad, errors.Join(err, json.Unmarshal(body, &alert)))
	r.alerts = append(r.alerts, alert)
	r.ids = append(r.ids, req.Header.Get("Webhook-Id"))
	a := answer{code: http.StatusNoContent}
	if len(r.answers) > 0 {
		a, r.answers = r.answers[0], r.answers[1:]
	}
	if a.err != nil {
		return nil, a.err
	}
	header := http.Header{}
	if a.after != "" {
		header.Set("Retry-After", a.after)
	}
	return &http.Response{StatusCode: a.code, Header: header, Body: http.NoBody, Request: req}, nil
}

// W1, W3: an alert is delivered, signed, and tried again with the same id until the answer says
// that it has come.
func TestW3_DeliveredUntilAnswered(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answers  []answer
		state    storage.State
		requests int
		within   time.Duration
	}{
		{"at once", nil, storage.StateSuccess, 1, time.Second},
		{"any 2xx", []answer{{code: 299}}, storage.StateSuccess, 1, time.Second},
		{"out of reach", []answer{{err: errors.New("no route")}, {err: errors.New("no route")}}, storage.StateSuccess, 3, 3 * time.Minute},
		{"a redirect", []answer{{code: 302}}, storage.StateSuccess, 2, time.Minute},
		{"an error", []answer{{code: 500}, {code: 404}, {code: 300}}, storage.StateSuccess, 4, 10 * time.Minute},
		{"gone", []answer{{code: 410}}, storage.StateFailed, 1, time.Second},
		{"not now", []answer{{code: 429, after: "3000"}, {code: 503, after: "3000"}}, storage.StateSuccess, 3, 101 * time.Minute},
		{"not now, badly said", []answer{{code: 429, after: "soon"}, {code: 503, after: "-1"}}, storage.StateSuccess, 3, 3 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := dispatch.NewRegistry()
			fail := dispatch.InternalAction[dispatch.None, dispatch.None]("t:fail")
			fail.Handle(reg, func(*dispatch.ActionCtx, dispatch.None) (dispatch.None, error) {
				return dispatch.None{}, dispatch.Errorf(dispatch.CodeAborted, "on purpose")
			})
			r := &receiver{answers: tt.answers}
			if err := webhook.Register(reg, webhook.Options{URL: "https://ops.example.com/x", Secret: secret, Client: &http.Client{Transport: r, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}); err != nil {
				t.Fatal(err)
			}
			actorstest.Run(t, actors.Options{Functions: reg, Logger: slog.New(slog.DiscardHandler)}, func(h *actorstest.Harness) {
				dead, err := h.Scheduler("acme").RunAfter(time.Minute, fail.With(dispatch.None{}), dispatch.NoRetry())
				if err != nil {
					t.Fatal(err)
				}
				h.Advance(time.Minute + tt.within)
				jobs, err := h.Scheduler("acme").List(storage.JobFilter{Parent: dead})
				if err != nil || len(jobs.Jobs) != 1 || jobs.Jobs[0].State != tt.state || jobs.Jobs[0].Function != webhook.Path {
					t.Fatalf("the alert: %+v, %v", jobs, err)
				}
				if len(r.ids) != tt.requests {
					t.Errorf("%d requests, want %d", len(r.ids), tt.requests)
				}
				for i, alert := range r.alerts {
					if r.bad[i] != nil || r.ids[i] != r.ids[0] {
						t.Errorf("request %d has id %s: %v", i, r.ids[i], r.bad[i])
					}
					if alert.Kind != dispatch.AlertDead || alert.App != "acme" || alert.Job != dead || alert.Code != dispatch.CodeAborted {
						t.Errorf("request %d: %+v", i, alert)
					}
				}
			})
		})
	}
}

// W1: what cannot be signed or sent well is refused.
func TestW1_BadOptions(t *testing.T) {
	coded := func(n int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n)))
	}
	const good = "https://ops.example.com/x"
	for _, tt := range []struct{ url, secret, want string }{
		{good, coded(webhook.MinSecretSize), ""},
		{good, coded(webhook.MaxSecretSize), ""},
		{"http://127.0.0.1:1/x", secret, ""},
		{"http://[::1]:1/x", secret, ""},
		{"http://localhost/x", secret, ""},
		{good, coded(webhook.MinSecretSize - 1), "23 bytes"},
		{good, coded(webhook.MaxSecretSize + 1), "65 bytes"},
		{good, "", "does not begin"},
		{good, strings.TrimPrefix(secret, "whsec_"), "does not begin"},
		{good, "whsec_?", "not base64"},
		{"", secret, "absolute"},
		{"/x", secret, "absolute"},
		{"http://user:pass%zz@host/", secret, "absolute"},
		{"http://ops.example.com/", secret, "want https"},
		{"http://10.0.0.1/", secret, "want https"},
		{"ftp://ops.example.com/", secret, "want https"},
	} {
		reg := dispatch.NewRegistry()
		err := webhook.Register(reg, webhook.Options{URL: tt.url, Secret: tt.secret})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.url, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s with %q: %v, want %q", tt.url, tt.secret, err, tt.want)
		case err != nil && (reg.Alerts() != nil || len(reg.Functions()) != 0):
			t.Errorf("%s was refused and is bound", tt.url)
		case err != nil && (strings.Contains(err.Error(), "pass") || tt.secret != "" && tt.secret != secret && strings.Contains(err.Error(), tt.secret)):
			t.Errorf("W2: the error %q has a secret", err)
		}
	}
}

// W2: the password of the URL is in no error of a job.
func TestW2_NoPasswordInErrors(t *testing.T) {
	reg := dispatch.NewRegistry()
	fail := dispatch.InternalAction[dispatch.None, dispatch.None]("t:fail")
	fail.Handle(reg, func(*dispatch.ActionCtx, dispatch.None) (dispatch.None, error) {
		return dispatch.None{}, errors.New("on purpose")
	})
	r := &receiver{answers: []answer{{err: dispatch.Permanent(errors.New("unreachable"))}}}
	if err := webhook.Register(reg, webhook.Options{URL: "https://me:hunter2@ops.example.com/x", Secret: secret, Client: &http.Client{Transport: r}}); err != nil {
		t.Fatal(err)
	}
	actorstest.Run(t, actors.Options{Functions: reg, Logger: slog.New(slog.DiscardHandler)}, func(h *actorstest.Harness) {
		dead, err := h.Scheduler("acme").RunAfter(0, fail.With(dispatch.None{}), dispatch.NoRetry())
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Second)
		jobs, err := h.Scheduler("acme").List(storage.JobFilter{Parent: dead})
		if err != nil || len(jobs.Jobs) != 1 || jobs.Jobs[0].Attempts != 1 {
			t.Fatalf("the alert: %+v, %v", jobs, err)
		}
		if text := fmt.Sprintf("%+v %+v", jobs.Jobs[0], jobs.Jobs[0].History); strings.Contains(text, "hunter2") || !strings.Contains(text, "could not be reached") {
			t.Errorf("the job says %s", text)
		}
	})
}

// Verify takes what was signed with one of the signatures, and nothing else.
func TestVerify(t *testing.T) {
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	send(t, server.URL)
	now := time.Now()
	other := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("o", 32)))
	for _, tt := range []struct {
		name   string
		secret string
		change func(http.Header)
		body   string
		now    time.Time
		ok     bool
	}{
		{"as it came", secret, func(http.Header) {}, string(body), now, true},
		{"one of two signatures", secret, func(h http.Header) {
			h.Set("Webhook-Signature", "v1,AAAA v2,x "+h.Get("Webhook-Signature"))
		}, string(body), now, true},
		{"another secret", other, func(http.Header) {}, string(body), now, false},
		{"no secret", "", func(http.Header) {}, string(body), now, false},
		{"another body", secret, func(http.Header) {}, string(body) + " ", now, false},
		{"another id", secret, func(h http.Header) { h.Set("Webhook-Id", "x") }, string(body), now, false},
		{"no id", secret, func(h http.Header) { h.Del("Webhook-Id") }, string(body), now, false},
		{"another timestamp", secret, func(h http.Header) {
			at := []byte(h.Get("Webhook-Timestamp"))
			at[len(at)-1] ^= 1 // another digit
			h.Set("Webhook-Timestamp", string(at))
		}, string(body), now, false},
		{"no timestamp", secret, func(h http.Header) { h.Del("Webhook-Timestamp") }, string(body), now, false},
		{"no signature", secret, func(h http.Header) { h.Del("Webhook-Signature") }, string(body), now, false},
		{"another version", secret, func(h http.Header) {
			h.Set("Webhook-Signature", "v2"+strings.TrimPrefix(h.Get("Webhook-Signature"), "v1"))
		}, string(body), now, false},
		{"too late", secret, func(http.Header) {}, string(body), now.Add(webhook.MaxSkew + 10*time.Second), false},
		{"too early", secret, func(http.Header) {}, string(body), now.Add(-webhook.MaxSkew - 10*time.Second), false},
	} {
		h := header.Clone()
		tt.change(h)
		if err := webhook.Verify(tt.secret, h, []byte(tt.body), tt.now); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// send has a real engine deliver one alert to the URL.
func send(tb testing.TB, url string) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "webhook")
	if err != nil {
		tb.Fatal(err)
	}
	defer os.RemoveAll(dir)
	reg := dispatch.NewRegistry()
	fail := dispatch.InternalAction[dispatch.None, dispatch.None]("t:fail")
	fail.Handle(reg, func(*dispatch.ActionCtx, dispatch.None) (dispatch.None, error) {
		return dispatch.None{}, errors.New("on purpose")
	})
	if err := webhook.Register(reg, webhook.Options{URL: url, Secret: secret}); err != nil {
		tb.Fatal(err)
	}
	eng, err := actors.Open(dir, actors.Options{Functions: reg, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = eng.Close(tb.Context()) }()
	app, err := eng.App("acme")
	if err != nil {
		tb.Fatal(err)
	}
	dead, err := app.Scheduler(tb.Context()).RunAfter(0, fail.With(dispatch.None{}), dispatch.NoRetry())
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = app.Wait(tb.Context(), dead)
	jobs, err := app.Scheduler(tb.Context()).List(storage.JobFilter{Parent: dead})
	if err != nil || len(jobs.Jobs) != 1 {
		tb.Fatalf("the alert: %+v, %v", jobs, err)
	}
	if _, err := app.Wait(tb.Context(), jobs.Jobs[0].ID); err != nil {
		tb.Fatal(err)
	}
}
