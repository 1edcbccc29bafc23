package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"carillon/dispatch"
)

const (
	// requestTimeout bounds an admin operation, which waits for a commit at most.
	requestTimeout = 30 * time.Second
	// maxAnswer bounds what is read of an answer: a thousand triggers fit with the
	// longest arguments that are likely.
	maxAnswer = 64 << 20
)

// client asks a server that is running.
type client struct {
	site, token string
	http        *http.Client
	transport   *http.Transport

	idempotencyKey string
	shut           func() // nil: it asks a server
}

// newClient returns a client of the server, with the token that is found for it.
func newClient(site string, find func() (string, error)) (*client, error) {
	token, err := find()
	if err != nil {
		return nil, err
	}
	site = siteURL(site)
	u, err := url.Parse(site)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, usageError{fmt.Errorf("--server is %q, want host:port, or a URL such as http://%s", site, defaultListen)}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &client{
		site: strings.TrimSuffix(site, "/"), token: token, transport: transport,
		http: &http.Client{
			Transport: transport,
			Timeout:   requestTimeout,
			// The server redirects nothing, and the token is for no other host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// siteURL is the URL of a server that is given as host:port, or as a URL.
func siteURL(site string) string {
	if site == "" || strings.Contains(site, "://") {
		return site
	}
	return "http://" + site
}

func (c *client) close() {
	c.transport.CloseIdleConnections()
	if c.shut != nil {
		c.shut()
	}
}

// do sends body, if there is one, as JSON and decodes the result. What the
// server refuses is its *dispatch.Error.
func (c *client) do(ctx context.Context, method, path string, body, result any) error {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(data)
	}
	req, err := c.request(ctx, method, path, content)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	return c.decode(resp, result)
}

// stream copies the answer, which is no JSON and may take any time, to w.
func (c *client) stream(ctx context.Context, path string, w io.Writer) error {
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	patient := *c.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/octet-stream" {
		return c.decode(resp, nil)
	}
	_, err = io.Copy(w, resp.Body)
	if _, ours := errors.AsType[*fs.PathError](err); err == nil || ours {
		return err
	}
	return c.unreachable(err)
}

// send sends content, which is no JSON and may take any time.
func (c *client) send(ctx context.Context, path string, content io.Reader) error {
	req, err := c.request(ctx, http.MethodPost, path, io.NopCloser(content))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	patient := *c.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	var result json.RawMessage
	return c.decode(resp, &result)
}

// text copies an answer that is text for people to w.
func (c *client) text(ctx context.Context, path string, w io.Writer) error {
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		return c.decode(resp, nil)
	}
	_, err = io.Copy(w, io.LimitReader(resp.Body, maxAnswer))
	return err
}

func (c *client) request(ctx context.Context, method, path string, content io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.site+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", c.idempotencyKey)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// decode decodes the result of an answer, unless that is nil.
func (c *client) decode(resp *http.Response, result any) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		dispatch.Error
	}
	switch err := json.Unmarshal(data, &answer); {
	case err != nil:
	case answer.Code != "":
		return c.refused(&answer.Error)
	case resp.StatusCode < 300 && answer.Result != nil && result != nil:
		return json.Unmarshal(answer.Result, result)
	}
	return fmt.Errorf("%s answers with status %d and no JSON of carillon: is it another server?", c.site, resp.StatusCode)
}

// unreachable says in plain words what most often keeps a server from answering.
func (c *client) unreachable(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return dispatch.Errorf(dispatch.CodeUnavailable, "connection refused: nothing listens at %s; is \"carillon demo\", or a server of yours, running there?", c.site)
	}
	if code := dispatch.AsError(err).Code; code != dispatch.CodeInternal {
		return fmt.Errorf("%s: %w", c.site, err) // its code is a good one: the time was up, or Ctrl-C was pressed
	}
	return &dispatch.Error{Code: dispatch.CodeUnavailable, Message: err.Error(), Err: err}
}

// refused is the server's refusal. One that has no operator routes takes their paths for
// mistakes.
func (c *client) refused(err *dispatch.Error) error {
	if err.Code == dispatch.CodeNotFound && strings.HasPrefix(err.Message, "no route ") {
		err.Message = c.site + " serves no routes for operators"
	}
	return err
}
