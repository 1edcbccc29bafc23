package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/client"
	"carillon/dispatch"
	"carillon/server/api"
)

// TestImportsNoEngine: a program that only asks links no engine, and nothing of a third party.
func TestImportsNoEngine(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "carillon/client").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(out)); !slices.Equal(got, []string{"carillon/server/api", "carillon/client"}) {
		t.Errorf("the client links %q", got)
	}
}

// TestErrorsOfAnswers: what an answer that is no success is told as.
func TestErrorsOfAnswers(t *testing.T) {
	for _, tt := range []struct {
		status  int
		body    string
		headers []string
		want    client.Error
		text    string
	}{
		{
			404, `{"code":"not_found","path":"notes:get","message":"no note 7"}`, nil,
			client.Error{Code: api.CodeNotFound, Path: "notes:get", Message: "no note 7", Status: 404},
			"notes:get: not_found: no note 7",
		},
		{
			500, `{"code":"internal","message":"internal error","requestId":"R1"}`, nil,
			client.Error{Code: api.CodeInternal, Message: "internal error", RequestID: "R1", Status: 500},
			"internal: internal error",
		},
		{
			429, `{"code":"resource_exhausted","message":"resource_exhausted"}`,
			[]string{"Retry-After", "7"},
			client.Error{Code: api.CodeResourceExhausted, Message: "resource_exhausted", Status: 429, RetryAfter: 7 * time.Second},
			"resource_exhausted",
		},
		{
			400, `{"code":"of_the_future","message":"x"}`,
			[]string{"Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"},
			client.Error{Code: "of_the_future", Message: "x", Status: 400},
			"of_the_future: x",
		},
		{401, `<html>`, nil, client.Error{Code: api.CodeUnauthenticated, Status: 401}, ""},
		{403, ``, nil, client.Error{Code: api.CodePermissionDenied, Status: 403}, ""},
		{404, `404 page not found`, nil, client.Error{Code: api.CodeNotFound, Status: 404}, ""},
		{413, ``, nil, client.Error{Code: api.CodeResourceExhausted, Status: 413}, ""},
		{429, ``, nil, client.Error{Code: api.CodeResourceExhausted, Status: 429}, ""},
		{503, `{"message":"no code"}`, []string{"Retry-After", "1"}, client.Error{Code: api.CodeUnavailable, Status: 503, RetryAfter: time.Second}, ""},
		{500, ``, nil, client.Error{Code: api.CodeUnknown, Status: 500}, ""},
		{302, ``, []string{"Location", "http://127.0.0.1:2/"}, client.Error{Code: api.CodeUnimplemented, Status: 302}, ""},
		{200, `<html>`, []string{"Content-Type", "text/html"}, client.Error{Code: api.CodeUnimplemented, Status: 200}, ""},
		{200, `{"result":7}`, nil, client.Error{Code: api.CodeUnknown, Status: 200}, ""},
		{200, `{"result":`, nil, client.Error{Code: api.CodeUnknown, Status: 200}, ""},
	} {
		c := mustClient(t, "http://127.0.0.1:1", client.Options{Attempts: 1, HTTP: &http.Client{
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				return answerOf(r, tt.status, tt.body, tt.headers...), nil
			}),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}})
		_, err := c.App("acme").Job(t.Context(), "j")
		e, ok := errors.AsType[*client.Error](err)
		if !ok || e.Code != tt.want.Code || e.Path != tt.want.Path || e.RequestID != tt.want.RequestID || e.Status != tt.want.Status || e.RetryAfter != tt.want.RetryAfter {
			t.Errorf("%d %s: got %+v, want %+v", tt.status, tt.body, e, tt.want)
			continue
		}
		if !errors.Is(err, tt.want.Code) || errors.Is(err, api.CodeAborted) || tt.text != "" && (e.Message != tt.want.Message || e.Error() != tt.text) {
			t.Errorf("%d %s: %q", tt.status, tt.body, err)
		}
	}
}

// TestCodesAreThoseOfDispatch: a code means the same on both sides.
func TestCodesAreThoseOfDispatch(t *testing.T) {
	var codes []string
	for _, code := range dispatch.Codes() {
		codes = append(codes, string(code))
	}
	if got := api.Code("").Enum(); !slices.Equal(got, codes) {
		t.Errorf("the codes are %q, want %q", got, codes)
	}
}

// TestErrorsWithoutAnAnswer: what they are by their cause; none has the URL, in which there can be a token.
func TestErrorsWithoutAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code api.Code
	}{
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x"}}, api.CodeUnavailable},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, api.CodeUnknown},
		{&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, api.CodeFailedPrecondition},
		{context.DeadlineExceeded, api.CodeUnknown}, // that of the http.Client
	} {
		sent := 0
		c := mustClient(t, "http://127.0.0.1:1", client.Options{Attempts: 2, Backoff: 1, HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			sent++
			return nil, tt.err
		})}})
		_, err := c.App("acme").Complete(t.Context(), "s3cret", 1)
		e, ok := errors.AsType[*client.Error](err)
		if want := map[bool]int{true: 1, false: 2}[tt.code == api.CodeFailedPrecondition]; !ok || e.Code != tt.code || e.Status != 0 || sent != want || !errors.Is(err, tt.err) {
			t.Errorf("%v: %d attempts, %v", tt.err, sent, err)
		}
		if _, wraps := errors.AsType[*url.Error](err); wraps || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v is told as %v", tt.err, err)
		}
	}
}

// TestAnswersAreBounded: one byte more than MaxAnswer is an error.
func TestAnswersAreBounded(t *testing.T) {
	body := `{"result":"` + strings.Repeat("x", 100) + `"}`
	for most, ok := range map[int64]bool{int64(len(body)): true, int64(len(body)) - 1: false} {
		c := mustClient(t, "http://127.0.0.1:1", client.Options{MaxAnswer: most, HTTP: &http.Client{
			Transport: transport(func(r *http.Request) (*http.Response, error) { return answerOf(r, 200, body), nil }),
		}})
		got, err := client.Call[string](t.Context(), c.App("acme"), "a:b", nil)
		if ok != (err == nil && len(got) == 100) || !ok && !errors.Is(err, api.CodeResourceExhausted) {
			t.Errorf("of %d bytes up to %d: %v", len(body), most, err)
		}
	}
}
