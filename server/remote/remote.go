package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Path is where below its URL a worker is asked.
const Path = "/_lunora/scheduler/dispatch"

// The bounds of a call, beside the deadline of the function and the limits of its arguments and result.
const (
	DialTimeout   = 10 * time.Second // of the connection, and of TLS on it
	MaxHeader     = 64 << 10         // bytes of an answer's header
	MaxIdle       = 64               // connections that are kept of one caller
	idleFor       = 90 * time.Second
	answerBesides = 4 << 10 // bytes of an answer beside the result
)

// Options are where the worker is.
type Options struct {
	// URL is an absolute one of http or https, to which Path is added. A host that is an address is
	// dialled as it is written, and localhost at a loopback address. A name that resolves to a private
	// address is refused, unless Allow has it; link-local addresses are refused in any case.
	URL string

	// Allow are networks whose addresses a name may resolve to, though they are private. Default none.
	Allow []netip.Prefix

	// Secret is MinSecret to MaxSecret bytes, which the worker knows, too.
	Secret string

	// Resolver looks names up. Default net.DefaultResolver.
	Resolver *net.Resolver

	// Now reads the clock for the timestamp. Default time.Now.
	Now func() time.Time
}

// Dispatch is the body of a request, its keys in this order.
type Dispatch struct {
	Args         json.RawMessage `json:"args"`
	FunctionPath string          `json:"functionPath,omitempty"`
	ID           string          `json:"id"`
	InstanceName string          `json:"instanceName"` // the app
	Pool         string          `json:"pool,omitempty"`
	ScheduledFor int64           `json:"scheduledFor"` // when the attempt was due, in milliseconds since 1970
	Workflow     string          `json:"workflow,omitempty"`
}

// Answer is the body of an answer; one that is none is taken for an empty one.
type Answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  *AnswerError    `json:"error,omitempty"`
}

// AnswerError is why the worker has not run the function.
type AnswerError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// A worker that says so runs an earlier attempt of the job yet.
const (
	declinedHeader = "X-Lunora-Dispatch-Declined"
	declinedCode   = "DISPATCH_IN_PROGRESS"
)

// Caller calls the functions of one worker; it is a dispatch.RemoteCaller.
type Caller struct {
	url    string
	secret []byte
	now    func() time.Time
	client *http.Client
}

// New returns a caller, which dials nothing yet. The error says what of the options is wrong.
func New(opts Options) (*Caller, error) {
	u, of, err := target(opts)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: DialTimeout, Control: of.control, Resolver: opts.Resolver}
	c := &Caller{url: strings.TrimRight(u.String(), "/") + Path, secret: []byte(opts.Secret), now: opts.Now}
	if c.now == nil {
		c.now = time.Now
	}
	c.client = &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: DialTimeout, MaxResponseHeaderBytes: MaxHeader,
			MaxIdleConnsPerHost: MaxIdle, IdleConnTimeout: idleFor, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// target is where the options say that the worker is.
func target(opts Options) (*url.URL, policy, error) {
	u, err := url.Parse(opts.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return nil, policy{}, errors.New("remote: the URL is not an absolute one of http or https, without query") // its text may have a password
	}
	if n := len(opts.Secret); n < MinSecret || n > MaxSecret {
		return nil, policy{}, fmt.Errorf("remote: the secret has %d bytes, want %d to %d", n, MinSecret, MaxSecret)
	}
	of := policy{allowed: opts.Allow, localhost: strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), "localhost")}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		of.literal = true
		if err := of.check(addr); err != nil {
			return nil, policy{}, err
		}
	}
	return u, of, nil
}

// Close closes the idle connections.
func (c *Caller) Close() { c.client.CloseIdleConnections() }

// Call implements dispatch.RemoteCaller. What is no job of its own has an id that is made up, which
// begins with "call_".
func (c *Caller) Call(ctx context.Context, call dispatch.RemoteCall) (json.RawMessage, error) {
	body, err := c.body(&call)
	if err != nil {
		return nil, dispatch.Permanent(fmt.Errorf("remote: %w", err))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, dispatch.Permanent(errors.New("remote: the worker's URL makes no request"))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "carillon")
	c.sign(req.Header, &call, body)
	resp, err := c.client.Do(req)
	if err != nil {
		var ofURL *url.Error
		if errors.As(err, &ofURL) {
			err = ofURL.Err // without the URL
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, dispatch.Errorf(dispatch.CodeUnavailable, "the worker was not reached: %w", err)
	}
	defer resp.Body.Close()
	return read(ctx, resp, call.MaxResult)
}

func (c *Caller) body(call *dispatch.RemoteCall) ([]byte, error) {
	if call.Job == "" {
		call.Job = storage.JobID("call_" + rand.Text())
	}
	d := Dispatch{
		Args: call.Args, FunctionPath: call.Path, ID: string(call.Job), InstanceName: string(call.App),
		Pool: call.Pool, ScheduledFor: call.ScheduledFor.UnixMilli(), Workflow: call.Workflow,
	}
	if d.Workflow != "" {
		d.FunctionPath = ""
	}
	if call.ScheduledFor.IsZero() {
		d.ScheduledFor = c.now().UnixMilli()
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// read is what the answer comes to.
func read(ctx context.Context, resp *http.Response, most int) (json.RawMessage, error) {
	limit := most + answerBesides
	text, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	done := resp.StatusCode >= 200 && resp.StatusCode <= 299
	switch {
	case ctx.Err() != nil && !done:
		return nil, ctx.Err()
	case done && len(text) > limit:
		return nil, &dispatch.RemoteTooLarge{Bytes: len(text)}
	}
	var answer Answer
	if err != nil || json.Unmarshal(text, &answer) != nil {
		answer = Answer{}
	}
	switch {
	case done && len(answer.Result) > most:
		return nil, &dispatch.RemoteTooLarge{Bytes: len(answer.Result)}
	case done:
		return answer.Result, nil
	case answer.Error == nil:
		answer.Error = &AnswerError{}
	case resp.StatusCode == http.StatusConflict && resp.Header.Get(declinedHeader) == "1" && answer.Error.Code == declinedCode:
		return nil, dispatch.ErrDeclined
	}
	message := "the worker answered " + strconv.Itoa(resp.StatusCode)
	if e := answer.Error; e.Code != "" || e.Message != "" {
		message += fmt.Sprintf(": %s: %s", cmp.Or(e.Code, "no code"), e.Message)
	}
	return nil, &dispatch.Error{Code: codeOf(resp.StatusCode), Message: message}
}

// codeOf is the code of a failure with the status; each is retried. A refused signature is not the fault
// of the one who called.
func codeOf(status int) dispatch.Code {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return dispatch.CodeInvalidArgument
	case http.StatusNotFound:
		return dispatch.CodeNotFound
	case http.StatusConflict:
		return dispatch.CodeAborted
	case http.StatusTooManyRequests:
		return dispatch.CodeResourceExhausted
	}
	return dispatch.CodeUnavailable
}
