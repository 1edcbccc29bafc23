package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"carillon/client"
	"carillon/server/api"
)

// Handler returns what server.Options.MCP is: agents have their tools at POST /mcp, by the streamable
// HTTP transport without sessions, each message with one answer in JSON. The tools ask the server's
// own routes as the operator of the message, within the process.
func Handler(opts Options) func(routes http.Handler) http.Handler {
	tools := newToolset(opts)
	return func(routes http.Handler) http.Handler {
		transport := sdk.NewStreamableHTTPHandler(
			func(r *http.Request) *sdk.Server { s, _ := r.Context().Value(serverKey{}).(*sdk.Server); return s },
			&sdk.StreamableHTTPOptions{
				Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxMessage,
				DisableLocalhostProtection: true, // the server has looked at Host and Origin
			})
		return &handler{tools, routes, transport}
	}
}

// serverKey is that of the *sdk.Server in a request's context.
type serverKey struct{}

type handler struct {
	tools     *toolset
	routes    http.Handler
	transport http.Handler
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, api.CodeResourceExhausted, fmt.Sprintf("a message has at most %d bytes", maxMessage))
		return
	}
	// One message a request: a batch would be many requests that are counted as one. A subscription
	// would not end.
	var message struct {
		Method string `json:"method"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		refuse(w, http.StatusBadRequest, api.CodeInvalidArgument, "the body is no message: want one object of JSON-RPC")
		return
	}
	if message.Method == "subscriptions/listen" {
		refuse(w, http.StatusBadRequest, api.CodeUnimplemented, "there is nothing to subscribe to")
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c, err := client.New("http://routes"+strings.TrimSuffix(r.URL.Path, "/mcp"), client.Options{
		HTTP: &http.Client{Transport: &inner{h.routes, r}}, Attempts: 1, NoKeys: true,
	})
	if err == nil {
		var s *sdk.Server
		if s, err = h.tools.server(ctx, c); err == nil {
			answer := newRecorder()
			h.transport.ServeHTTP(answer, r.WithContext(context.WithValue(ctx, serverKey{}, s)))
			answer.copyTo(w)
			return
		}
	}
	if e, ok := errors.AsType[*client.Error](err); ok && e.Status >= http.StatusBadRequest {
		refuse(w, e.Status, e.Code, e.Message)
		return
	}
	refuse(w, http.StatusServiceUnavailable, api.CodeUnavailable, "the operator could not be asked for")
}

// refuse answers as the server does.
func refuse(w http.ResponseWriter, status int, code api.Code, message string) {
	body, err := json.Marshal(api.Error{Code: code, Message: message})
	if err != nil {
		panic(err) // strings have a JSON form
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// inner sends requests to the routes within the process, as if they had come from where the outer
// one has.
type inner struct {
	routes http.Handler
	outer  *http.Request
}

// notPassedOn are headers of the outer request that are about its own body and answer.
var notPassedOn = []string{
	"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Idempotency-Key",
	"Last-Event-Id", "Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id", "Te", "Transfer-Encoding", "Upgrade", "User-Agent",
}

// RoundTrip implements http.RoundTripper.
func (t *inner) RoundTrip(asked *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil { // it would end the process
			resp, err = nil, fmt.Errorf("the request was given up: %v", v)
		}
	}()
	r := t.outer.Clone(both{asked.Context(), t.outer.Context()})
	for _, name := range notPassedOn {
		r.Header.Del(name)
	}
	for name, values := range asked.Header {
		r.Header[name] = values
	}
	r.Method, r.ContentLength, r.Body = asked.Method, asked.ContentLength, asked.Body
	r.TransferEncoding, r.Trailer = nil, nil
	if r.Body == nil {
		r.Body = http.NoBody
	}
	to := *asked.URL
	to.Scheme, to.Host = "", ""
	r.URL, r.RequestURI = &to, to.RequestURI()
	w := newRecorder()
	t.routes.ServeHTTP(w, r)
	_ = r.Body.Close()
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: io.NopCloser(&w.body),
		ContentLength: int64(w.body.Len()), Request: asked, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// both is a context with the values of another besides its own.
type both struct {
	context.Context
	outer context.Context
}

// Value implements context.Context.
func (b both) Value(key any) any {
	if v := b.Context.Value(key); v != nil {
		return v
	}
	return b.outer.Value(key)
}

// recorder is an answer that is held in memory.
type recorder struct {
	header http.Header
	status int
	told   bool
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if !w.told {
		w.told, w.status = true, status
	}
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// copyTo answers with what was recorded, and with a refusal that is plain text in JSON.
func (w *recorder) copyTo(to http.ResponseWriter) {
	if w.status >= http.StatusBadRequest && !json.Valid(w.body.Bytes()) {
		code := api.CodeInvalidArgument
		if w.status >= http.StatusInternalServerError {
			code = api.CodeInternal
		}
		refuse(to, w.status, code, strings.TrimSpace(w.body.String()))
		return
	}
	for name, values := range w.header {
		to.Header()[name] = values
	}
	to.WriteHeader(w.status)
	_, _ = to.Write(w.body.Bytes())
}
