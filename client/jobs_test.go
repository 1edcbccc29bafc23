package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/client"
	"carillon/server/api"
)

// TestEndsOfJobs: what Await returns of each.
func TestEndsOfJobs(t *testing.T) {
	for _, tt := range []struct {
		end  string
		want int
		code api.Code
		text string
	}{
		{`"state":"success","result":42`, 42, "", ""},
		{`"state":"success","result":"x"`, 0, api.CodeUnknown, "does not decode"},
		{`"state":"success","notKept":{"bytes":70000,"reason":"it is too long"}`, 0, api.CodeFailedPrecondition, "job j is not kept: it is too long"},
		{`"state":"success","hidden":["result"]`, 0, api.CodePermissionDenied, "not shown the result of job j"},
		{`"state":"failed","error":{"code":"out_of_range","message":"no"}`, 0, api.CodeOutOfRange, "out_of_range: no"},
		{`"state":"failed"`, 0, api.CodeUnknown, "job j is failed"},
		{`"state":"canceled","error":{"code":"aborted","message":"an attempt"}`, 0, api.CodeCanceled, "job j was canceled"},
		{`"state":"expired","reason":"too late"`, 0, api.CodeDeadlineExceeded, "job j has expired: too late"},
		{`"state":"of the future"`, 0, api.CodeUnknown, "job j is of the future"},
	} {
		c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			return answerOf(r, 200, `{"result":{"id":"j","ended":true,`+tt.end+`}}`), nil
		})}})
		got, err := client.Await[int](t.Context(), c.App("acme"), "j")
		if got != tt.want || (tt.code == "") != (err == nil) || err != nil && (!errors.Is(err, tt.code) || !strings.Contains(err.Error(), tt.text)) {
			t.Errorf("%s: got %d, %v", tt.end, got, err)
		}
	}
}

// TestWaitAsksAgain: while the job goes on, over a restart of the server, and neither without a pause nor beyond
// the context.
func TestWaitAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if got := r.URL.Query().Get("wait"); got != "30s" {
				t.Errorf("wait is %s", got)
			}
			switch n++; {
			case n <= 2:
				time.Sleep(30 * time.Second)
			case n == 3: // the server stops
			case n <= 5:
				return nil, unreached.err
			default:
				return answerOf(r, 200, `{"result":{"id":"j","ended":true,"state":"success"}}`), nil
			}
			return answerOf(r, 200, `{"result":{"id":"j","ended":false,"state":"running"}}`), nil
		})}})
		begun := time.Now()
		end, err := c.App("acme").Wait(t.Context(), "j")
		if err != nil || end.State != api.StateSuccess || n != 6 || time.Since(begun) < 61*time.Second {
			t.Errorf("got %+v by %d requests in %s, %v", end, n, time.Since(begun), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			n++
			return answerOf(r, 200, `{"result":{"id":"j","ended":false,"state":"running"}}`), nil
		})}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second-1)
		defer cancel()
		begun := time.Now()
		_, err := c.App("acme").Wait(ctx, "j")
		if !errors.Is(err, context.DeadlineExceeded) || n > 10 || time.Since(begun) != 10*time.Second-1 {
			t.Errorf("%d requests in %s, %v", n, time.Since(begun), err)
		}
	})
}

// TestStreamsOfBytes: one that is cut is an error of Read, and what is no stream is refused.
func TestStreamsOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			answer func(*http.Request) *http.Response
			opens  bool
			reads  bool
			code   api.Code
		}{
			{"whole", func(r *http.Request) *http.Response {
				return answerOf(r, 200, "bytes", "Content-Type", "application/octet-stream")
			}, true, true, ""},
			{"cut", func(r *http.Request) *http.Response {
				resp := answerOf(r, 200, "", "Content-Type", "application/octet-stream")
				resp.Body = io.NopCloser(cut{})
				return resp
			}, true, false, api.CodeUnknown},
			{"refused", func(r *http.Request) *http.Response {
				return answerOf(r, 403, `{"code":"permission_denied","message":"no"}`)
			}, false, false, api.CodePermissionDenied},
			{"a page", func(r *http.Request) *http.Response { return answerOf(r, 200, "<html>", "Content-Type", "text/html") }, false, false, api.CodeUnimplemented},
			{"JSON", func(r *http.Request) *http.Response { return answerOf(r, 200, "{}") }, false, false, api.CodeUnimplemented},
		} {
			n := 0
			c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				if n++; n == 1 {
					return answerOf(r, 503, closing.body), nil // to open a stream is repeated
				}
				return tt.answer(r), nil
			})}})
			stream, err := c.Backup(t.Context(), "")
			if tt.opens != (err == nil) || n != 2 || !tt.opens && !errors.Is(err, tt.code) {
				t.Errorf("%s: %v by %d requests", tt.name, err, n)
			}
			if err != nil {
				continue
			}
			text := new(strings.Builder)
			if _, err := io.Copy(text, stream); tt.reads != (err == nil && text.String() == "bytes") || !tt.reads && !errors.Is(err, tt.code) {
				t.Errorf("%s: read %q, %v", tt.name, text, err)
			}
		}
	})
}
