package cmd

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"carillon/dispatch"
)

// withToken sends a token with each request.
type withToken struct {
	token string
	to    *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.token)
	return w.to.RoundTrip(r)
}

func mustAgent(t *testing.T, transport sdk.Transport) *sdk.ClientSession {
	t.Helper()
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// runForAgent is an agent of the command that runs within the test.
type runForAgent struct {
	*sdk.ClientSession
	done chan error
}

func mustRunForAgent(t *testing.T, args ...string) runForAgent {
	t.Helper()
	in, sent := io.Pipe()
	received, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Run(t.Context(), sampleOptions(), append([]string{"mcp"}, args...), in, out, io.Discard)
	}()
	return runForAgent{mustAgent(t, &sdk.IOTransport{Reader: received, Writer: sent}), done}
}

// end has the agent close the command's standard input, after which that ends.
func (r runForAgent) end(t *testing.T) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// mustTool has the agent use a tool, and returns the text of the answer.
func mustTool(t *testing.T, agent *sdk.ClientSession, tool, args string) string {
	t.Helper()
	r, err := agent.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: json.RawMessage(args)})
	if err != nil {
		t.Fatal(tool, err)
	}
	text := r.Content[0].(*sdk.TextContent).Text
	if r.IsError {
		t.Fatalf("%s: %s", tool, text)
	}
	return text
}

func hasTool(t *testing.T, agent *sdk.ClientSession, name string) bool {
	t.Helper()
	list, err := agent.ListTools(t.Context(), nil)
	if err != nil || len(list.Tools) < 10 {
		t.Fatal(list, err)
	}
	return slices.ContainsFunc(list.Tools, func(tool *sdk.Tool) bool { return tool.Name == name })
}

// TestAgents has the SDK's own client use the tools of the real command on its standard input and
// output, of a server over HTTP, and of a directory that is not served.
func TestAgents(t *testing.T) {
	binary, dir := mustBuild(t), filepath.Join(t.TempDir(), "data")
	s := mustServeAs(t, t.Context(), "serve", dir, "--mcp", "--mcp-allow-write")
	site, _, _ := strings.Cut(s.url, "/v1/")
	file := filepath.Join(dir, tokenFile)
	eventually(t, "the token is there", func() bool { return strings.Contains(s.out.String(), "is not shown again") })
	if out := s.out.String(); !strings.Contains(out, "Agents have tools at /mcp.") {
		t.Error(out)
	}
	if out, err := runs(t, "apps", "create", "acme", "--server", site, "--token-file", file); err != nil {
		t.Fatal(out, err)
	}
	token, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	to := &http.Transport{}
	defer to.CloseIdleConnections()
	over := mustAgent(t, &sdk.StreamableClientTransport{
		Endpoint: site + "/mcp", HTTPClient: &http.Client{Transport: withToken{strings.TrimSpace(string(token)), to}},
	})
	if !hasTool(t, over, "schedule_job") {
		t.Error("the server has no tool that schedules")
	}
	reader := mustRunForAgent(t, "--server", site, "--token-file", file)
	if hasTool(t, reader.ClientSession, "schedule_job") || hasTool(t, reader.ClientSession, "cancel_job") {
		t.Error("there are tools that write without --allow-write")
	}
	writer := mustAgent(t, &sdk.CommandTransport{Command: exec.Command(binary, "mcp", "--server", site, "--token-file", file, "--allow-write")})
	mustTool(t, writer, "schedule_job", `{"app":"acme","function":"counters:bump","args":{"key":"k"},"id":"mine","afterMs":3600000}`)
	for name, agent := range map[string]*sdk.ClientSession{"over HTTP": over, "of the command": reader.ClientSession} {
		if text := mustTool(t, agent, "get_job", `{"app":"acme","id":"mine"}`); !strings.Contains(text, `"wait":"not due"`) || !strings.Contains(text, `"key":"k"`) {
			t.Errorf("%s: %s", name, text)
		}
	}
	if _, err := runs(t, "mcp", "--server", site); ExitCode(err) != dispatch.CodeUnauthenticated.ExitCode() {
		t.Errorf("without a token: %v", err)
	}
	reader.end(t)
	for _, agent := range []*sdk.ClientSession{over, writer} {
		if err := agent.Close(); err != nil {
			t.Error(err)
		}
	}
	s.mustStop(t)

	still := mustRunForAgent(t, "--data", dir, "--allow-write")
	mustTool(t, still.ClientSession, "cancel_job", `{"app":"acme","id":"mine"}`)
	if text := mustTool(t, still.ClientSession, "list_jobs", `{"app":"acme","id":"mine"}`); !strings.Contains(text, `"state":"canceled"`) {
		t.Error(text)
	}
	still.end(t)

	s = mustServeAs(t, t.Context(), "serve", dir)
	resp, err := s.client.Post(strings.TrimSuffix(s.url, "/v1/apps/")+"/mcp", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusNotFound {
		t.Errorf("/mcp of a server that was not asked for it: %d", resp.StatusCode)
	}
	s.mustStop(t)
	if _, err := runs(t, "serve", "--data", dir, "--mcp-allow-write"); ExitCode(err) != 2 {
		t.Errorf("--mcp-allow-write alone: %v", err)
	}
}

// TestAProgramWithoutAgents has neither their verb nor their flags.
func TestAProgramWithoutAgents(t *testing.T) {
	opts := sampleOptions()
	opts.Agents = nil
	for _, args := range [][]string{{"mcp"}, {"serve", "--mcp"}} {
		if err := Run(t.Context(), opts, args, strings.NewReader(""), io.Discard, io.Discard); ExitCode(err) != 2 {
			t.Errorf("%v: %v", args, err)
		}
	}
}
