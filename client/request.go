package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carillon/server/api"
)

// request is what is asked of the server, in one attempt or several.
type request struct {
	method string
	path   []string // below the server's URL, each one a segment
	query  url.Values
	body   any       // as JSON; nil: none
	stream io.Reader // the body, if it is no JSON
	key    *string   // idempotency key; nil: none
	lastID string    // of events; "": none
	repeat repeat
	wait   time.Duration // how much longer than another an attempt takes
}

// path is that of a request about the app.
func (a *App) path(segments ...string) []string {
	return append(v1("apps", a.name), segments...)
}

// v1 is a path below /v1.
func v1(segments ...string) []string { return append([]string{"v1"}, segments...) }

// do sends the request until it is answered, and decodes the result into result unless that is nil.
func (c *Client) do(ctx context.Context, r request, result any) error {
	body, err := c.answer(ctx, r, jsonType)
	if err != nil || result == nil {
		return err
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
	}
	if err = json.Unmarshal(body, &answer); err == nil {
		if answer.Result == nil {
			return &Error{Code: api.CodeUnimplemented, Message: "the answer has no result, and is none of the server's", Status: http.StatusOK}
		}
		err = json.Unmarshal(answer.Result, result)
	}
	if err != nil {
		return &Error{Code: api.CodeUnknown, Message: "the answer does not decode: " + err.Error(), Status: http.StatusOK, Err: err}
	}
	return nil
}

// Media types.
const (
	jsonType   = "application/json"
	streamType = "application/octet-stream"
	eventType  = "text/event-stream"
)

// answer sends the request until it is answered with a body of the media type.
func (c *Client) answer(ctx context.Context, r request, media string) (body []byte, err error) {
	data, err := c.encode(&r)
	if err != nil {
		return nil, err
	}
	failed := c.repeated(ctx, r.repeat, func(ctx context.Context) *Error {
		if c.opts.AttemptTimeout > 0 && r.repeat == always {
			limited, cancel := context.WithTimeoutCause(ctx, c.opts.AttemptTimeout+r.wait, errAttemptTimeout)
			defer cancel()
			ctx = limited
		}
		resp, failed := c.attempt(ctx, &r, data)
		if failed != nil {
			return failed
		}
		defer resp.Body.Close()
		body, failed = c.read(resp, media)
		return failed
	})
	if failed != nil {
		return nil, failed
	}
	return body, nil
}

// open sends the request until it is answered with a body of the media type, which is returned.
func (c *Client) open(ctx context.Context, r request, media string) (io.ReadCloser, error) {
	data, err := c.encode(&r)
	if err != nil {
		return nil, err
	}
	var opened io.ReadCloser
	failed := c.repeated(ctx, r.repeat, func(ctx context.Context) *Error {
		resp, failed := c.attempt(ctx, &r, data)
		if failed != nil {
			return failed
		}
		if resp.StatusCode == http.StatusOK && mediaOf(resp) == media {
			opened = &stream{resp.Body}
			return nil
		}
		defer resp.Body.Close()
		if _, failed = c.read(resp, jsonType); failed == nil {
			failed = stranger(resp)
		}
		return failed
	})
	if failed != nil {
		return nil, failed
	}
	return opened, nil
}

// encode is the body that each attempt sends, and what is wrong with the request.
func (c *Client) encode(r *request) ([]byte, error) {
	for _, segment := range r.path {
		if segment == "" || segment == "." || segment == ".." {
			return nil, invalid("%q is no name of an app, a job or what else there is: no URL can have it in its path", segment)
		}
	}
	if r.key != nil && (*r.key == "" || len(*r.key) > maxKey || strings.ContainsFunc(*r.key, func(c rune) bool { return c <= ' ' || c >= 0x7f })) {
		return nil, invalid("the idempotency key has %d bytes, want 1 to %d of visible ASCII", len(*r.key), maxKey)
	}
	if r.body == nil {
		return nil, nil
	}
	data, err := json.Marshal(r.body)
	if err != nil {
		e := invalid("%v", err)
		e.Err = err
		return nil, e
	}
	return data, nil
}

// attempt sends the request once. The answer's body is open.
func (c *Client) attempt(ctx context.Context, r *request, data []byte) (*http.Response, *Error) {
	var body io.Reader
	media := jsonType
	switch {
	case r.stream != nil:
		body, media = io.NopCloser(r.stream), streamType
	case data != nil:
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.url(r), body)
	if err != nil {
		return nil, invalid("%v", err)
	}
	head := req.Header
	head.Set("User-Agent", c.opts.UserAgent)
	if r.method == http.MethodPost || r.method == http.MethodPut || body != nil {
		head.Set("Content-Type", media)
	}
	if c.opts.Token != "" {
		head.Set("Authorization", "Bearer "+c.opts.Token)
	}
	if r.key != nil {
		head.Set("Idempotency-Key", *r.key)
	}
	if r.lastID != "" {
		head.Set("Last-Event-ID", r.lastID)
	}
	if span, ok := ctx.Value(traceKey{}).(trace); ok {
		head.Set("Traceparent", span.parent)
		if span.state != "" {
			head.Set("Tracestate", span.state)
		}
	}
	resp, err := c.opts.HTTP.Do(req)
	if err != nil {
		return nil, unanswered(err)
	}
	return resp, nil
}

func (c *Client) url(r *request) string {
	var text strings.Builder
	text.WriteString(c.base)
	for _, segment := range r.path {
		text.WriteString("/" + url.PathEscape(segment))
	}
	if len(r.query) > 0 {
		text.WriteString("?" + r.query.Encode())
	}
	return text.String()
}

// read reads an answer with a body of the media type to its end.
func (c *Client) read(resp *http.Response, media string) ([]byte, *Error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.opts.MaxAnswer+1))
	switch {
	case err != nil:
		return nil, unanswered(err)
	case resp.StatusCode >= http.StatusMultipleChoices:
		return nil, refusal(resp, body)
	case int64(len(body)) > c.opts.MaxAnswer:
		return nil, &Error{
			Code: api.CodeResourceExhausted, Status: resp.StatusCode,
			Message: fmt.Sprintf("the answer has more than %d bytes, which is the client's limit (MaxAnswer)", c.opts.MaxAnswer),
		}
	case mediaOf(resp) != media:
		return nil, stranger(resp)
	}
	return body, nil
}

func mediaOf(resp *http.Response) string {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return media
}

// stranger is the error of an answer that the server cannot have given.
func stranger(resp *http.Response) *Error {
	return &Error{
		Code: api.CodeUnimplemented, Status: resp.StatusCode,
		Message: fmt.Sprintf("the answer has status %s and content type %.64q, and is none of the server's", resp.Status, resp.Header.Get("Content-Type")),
	}
}

// stream is the body of an answer whose errors are of this package.
type stream struct{ io.ReadCloser }

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = unanswered(err)
	}
	return n, err
}
