package mcp_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"carillon/actors"
	"carillon/client"
	"carillon/client/mcp"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
)

type mail struct {
	To   string `json:"to"`
	Text string `json:"text"`
	N    int64  `json:"n"`
}

// site is a server with agents over an engine with a few functions, on a loopback port.
type site struct {
	eng *actors.Engine
	url string
}

func mustSite(tb testing.TB, opts mcp.Options) *site {
	tb.Helper()
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	reg := dispatch.NewRegistry()
	dispatch.Mutation[mail, dispatch.None]("mail:send").Handle(reg, func(*dispatch.MutationCtx, mail) (dispatch.None, error) {
		return dispatch.None{}, nil
	})
	dispatch.InternalMutation[mail, dispatch.None]("mail:fail").Handle(reg, func(_ *dispatch.MutationCtx, m mail) (dispatch.None, error) {
		return dispatch.None{}, dispatch.Permanent(dispatch.Errorf(dispatch.CodeOutOfRange, "%s", m.Text))
	})
	eng, err := actors.Open(tb.TempDir(), actors.Options{
		Functions: reg, Volumes: 1, Logger: logger, Pools: []*dispatch.Pool{dispatch.NewPool("mail", 2), dispatch.NewPool("post", 1)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	srv := httptest.NewServer(server.New(eng, server.Options{
		Logger: logger, BasePath: "/x/y", Operator: server.Tokens(eng), MCP: mcp.Handler(opts), Hosts: []string{"jobs.example.com"},
	}))
	tb.Cleanup(func() {
		srv.Close()
		if err := eng.Check(); err != nil {
			tb.Error(err)
		}
		if err := eng.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return &site{eng, srv.URL + "/x/y"}
}

// token is one of an operator with the scopes.
func (s *site) token(tb testing.TB, scopes ...server.Scope) string {
	tb.Helper()
	op := server.Operator{Name: "agent", AllApps: true, Scopes: scopes}
	text, _, err := server.NewToken(s.eng.Tokens(), op, time.Now(), time.Time{})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// client asks as an operator with all scopes.
func (s *site) client(tb testing.TB) *client.App {
	tb.Helper()
	c, err := client.New(s.url, client.Options{Token: s.token(tb, server.Scopes()...), NoKeys: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c.App("acme")
}

// agent is a client of the protocol.
type agent struct{ *sdk.ClientSession }

// bearer sends a token with each request.
type bearer struct {
	token string
	to    *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.to.RoundTrip(r)
}

// overHTTP is an agent of the server with the token.
func (s *site) overHTTP(tb testing.TB, token string) agent {
	tb.Helper()
	to := &http.Transport{}
	tb.Cleanup(to.CloseIdleConnections)
	return mustConnect(tb, &sdk.StreamableClientTransport{
		Endpoint: s.url + "/mcp", HTTPClient: &http.Client{Transport: bearer{token, to}},
	})
}

// overPipes is an agent of a program that asks the server with the token.
func (s *site) overPipes(tb testing.TB, token string, opts mcp.Options) agent {
	tb.Helper()
	c, err := client.New(s.url, client.Options{Token: token, NoKeys: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	in, sent := io.Pipe()
	received, out := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- mcp.Serve(tb.Context(), c, in, out, opts) }()
	tb.Cleanup(func() {
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return mustConnect(tb, &sdk.IOTransport{Reader: received, Writer: sent})
}

func mustConnect(tb testing.TB, transport sdk.Transport) agent {
	tb.Helper()
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(tb.Context(), transport, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = session.Close() })
	return agent{session}
}

// tools are the names of the agent's tools, sorted.
func (a agent) tools(tb testing.TB) (names []string) {
	tb.Helper()
	for _, tool := range a.all(tb) {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names
}

func (a agent) all(tb testing.TB) []*sdk.Tool {
	tb.Helper()
	list, err := a.ListTools(tb.Context(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	if list.CacheScope != "private" {
		tb.Errorf("the list of tools may be kept: %q", list.CacheScope)
	}
	return list.Tools
}

// said is the text of a tool's answer.
type said struct {
	text   string
	Notice string
	Next   string
	Error  *struct{ Code, Message string }
	Data   json.RawMessage
}

// call has the agent use a tool, with arguments in JSON.
func (a agent) call(tb testing.TB, tool, args string) (s said) {
	tb.Helper()
	r, err := a.CallTool(tb.Context(), &sdk.CallToolParams{Name: tool, Arguments: json.RawMessage(args)})
	if err != nil {
		tb.Fatal(tool, err)
	}
	if len(r.Content) != 1 || r.StructuredContent != nil {
		tb.Fatalf("%s: %d contents, %v", tool, len(r.Content), r.StructuredContent)
	}
	s.text = r.Content[0].(*sdk.TextContent).Text
	if err := json.Unmarshal([]byte(s.text), &s); err != nil {
		tb.Fatalf("%s: %v: %s", tool, err, s.text)
	}
	if r.IsError != (s.Error != nil) {
		tb.Errorf("%s: is an error: %v, but: %s", tool, r.IsError, s.text)
	}
	return s
}

// must is call that has to be done; the answer's data is decoded.
func must[R any](tb testing.TB, a agent, tool, args string) (data R) {
	tb.Helper()
	s := a.call(tb, tool, args)
	if s.Error != nil {
		tb.Fatalf("%s: %+v", tool, *s.Error)
	}
	if err := json.Unmarshal(s.Data, &data); err != nil {
		tb.Fatalf("%s: %v: %s", tool, err, s.text)
	}
	return data
}

// mustSchedule schedules a job of acme that is due in an hour, or now if that is 0.
func mustSchedule(tb testing.TB, app *client.App, function, id string, in time.Duration, args any) {
	tb.Helper()
	after := in.Milliseconds()
	if _, err := app.Schedule(tb.Context(), api.JobRequest{Function: function, ID: &id, AfterMs: &after}, args); err != nil {
		tb.Fatal(err)
	}
}
