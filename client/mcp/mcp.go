package mcp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"carillon/client"
	"carillon/server/api"
)

// Options say what agents may do. The zero value lets them read.
type Options struct {
	// AllowWrite has tools that change something be there for a token with the scope write.
	// Default: none are.
	AllowWrite bool
	// Name is that of the program, which agents are told. Default "carillon".
	Name string
	// Version is that of the program. Default "1".
	Version string
}

// Agents is a cmd.Options.Agents: it gives the command of a program the verb mcp, and serve its flag.
type Agents struct{}

// Handler is that of the package, with tools that change something if write is set.
func (Agents) Handler(write bool) func(routes http.Handler) http.Handler {
	return Handler(Options{AllowWrite: write})
}

// Serve is that of the package, with tools that change something if write is set.
func (Agents) Serve(ctx context.Context, c *client.Client, in io.Reader, out io.Writer, write bool) error {
	return Serve(ctx, c, in, out, Options{AllowWrite: write})
}

// Bounds of what agents send and wait for.
const (
	maxMessage  = 1 << 20 // bytes
	callTimeout = 30 * time.Second
)

// toolset makes the servers of one program.
type toolset struct {
	opts    Options
	schemas *sdk.SchemaCache
}

func newToolset(opts Options) *toolset {
	if opts.Name == "" {
		opts.Name = "carillon"
	}
	if opts.Version == "" {
		opts.Version = "1"
	}
	return &toolset{opts, sdk.NewSchemaCache()}
}

// server has the tools that the client's operator may use.
func (t *toolset) server(ctx context.Context, c *client.Client) (*sdk.Server, error) {
	operator, err := c.Operator(ctx)
	if err != nil {
		return nil, err
	}
	s := sdk.NewServer(&sdk.Implementation{Name: t.opts.Name, Version: t.opts.Version}, &sdk.ServerOptions{
		Instructions: "Tools of a job scheduler with many tenants, called apps. " + preface,
		Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}},
		SchemaCache:  t.schemas,
		// Which tools there are is the token's: no proxy may keep the list for another.
		SetCacheable: func(_ context.Context, _ sdk.Request, c *sdk.Cacheable) { c.CacheScope = "private" },
	})
	addReading(s, c)
	if t.opts.AllowWrite && may(&operator, api.ScopeWrite) {
		addWriting(s, c)
		if may(&operator, api.ScopeCall) {
			addScheduling(s, c)
		}
	}
	return s, nil
}

func may(operator *api.Operator, scope api.Scope) bool {
	return slices.Contains(operator.Scopes, scope)
}

// Serve answers one agent, whose messages come from in, a line each, until in ends, which is no
// error, or ctx does. It closes both if they can be closed. Which tools there are is decided when it
// begins, by the scopes that the client's token has then; an error before the first message is
// the client's.
func Serve(ctx context.Context, c *client.Client, in io.Reader, out io.Writer, opts Options) error {
	asked, cancel := context.WithTimeout(ctx, callTimeout)
	s, err := newToolset(opts).server(asked, c)
	cancel()
	if err != nil {
		return err
	}
	err = s.Run(ctx, &sdk.IOTransport{Reader: readCloser(in), Writer: writeCloser(out), MaxLineLength: maxMessage})
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func readCloser(r io.Reader) io.ReadCloser {
	if rc, ok := r.(io.ReadCloser); ok {
		return rc
	}
	return io.NopCloser(r)
}

// writer is one that is not closed.
type writer struct{ io.Writer }

// Close implements io.Closer.
func (writer) Close() error { return nil }

func writeCloser(w io.Writer) io.WriteCloser {
	if wc, ok := w.(io.WriteCloser); ok {
		return wc
	}
	return writer{w}
}
