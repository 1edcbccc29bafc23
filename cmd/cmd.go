package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"carillon/actors"
	"carillon/client"
	"carillon/cmd/carillon/workload"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// Options are what the command of a program serves. The zero value serves no functions, and
// looks after any program's data directories and servers.
type Options struct {
	// Name is the command's name in help and messages. Default: that of the executable,
	// in Main, and else "carillon".
	Name string
	// About says in a few words what is served. Default: "the functions of NAME".
	About string
	// Engine is what a data directory is opened with: the program's functions, triggers,
	// tables, pools and limits. Program should be set. Functions may be served more than
	// once: each server has a clone of them. AdoptEmpty is always true, Logger is
	// that of the command if it is nil, and Admit counts only where clients may make apps:
	// with demo and serve --auto-create.
	Engine actors.Options
	// Server is what the engine is served with. Identify counts unless Clients says who
	// clients are; Operator, Logger, RequestsPerSecond and TrustedProxies are set by the
	// flags of serve, and bounds of both may be set otherwise by them.
	Server server.Options
	// Clients says who calls functions, as flags of serve have it. Package carillon/cmd/oidc
	// has one for the tokens of OpenID Connect. Default: Server.Identify says it.
	Clients Clients
	// Agents gives agents tools: there is the verb mcp, and serve has the flag --mcp. Package
	// carillon/client/mcp has one. Default: there are none.
	Agents Agents
	// Log is the log at an address, which nodes may share: there is the verb store migrate, and nodes and
	// shards look into a log that --store names. Log of package carillon/storage/postgres is one. Default:
	// a store's log is in its data directory.
	Log func(address string) storage.SharedLog
	// Try returns what demo and serve suggest to try with the server at the site, such as
	// lines for a shell. Default: nothing.
	Try func(site string) string
	// Getenv returns a variable of the environment, "" if it is not set. Default: os.Getenv.
	Getenv func(name string) string
	// Verbs are verbs of the program's own, beside those of this package. One that has the
	// name of another replaces it.
	Verbs []Verb
}

// Clients says who the clients of a server are.
type Clients interface {
	// Flags declares the flags of serve.
	Flags(*flag.FlagSet)
	// Identify returns server.Options.Identify, after the flags are parsed, and whose
	// clients those are, for people; or nil if the flags ask for none. An error says what
	// is wrong with the flags.
	Identify() (identify func(*http.Request) (*dispatch.Identity, error), whose string, err error)
}

// Agents gives agents tools to look at jobs, and with write to change them as far as their token
// may.
type Agents interface {
	// Handler returns server.Options.MCP.
	Handler(write bool) func(routes http.Handler) http.Handler
	// Serve answers one agent, which has the rights of the client, until in or ctx ends.
	Serve(ctx context.Context, c *client.Client, in io.Reader, out io.Writer, write bool) error
}

// program is what runs one command line.
type program struct {
	Options
	after func(time.Duration) <-chan time.Time // time.After, but in tests
}

// Main runs the command line of the process: it ends with the exit code when that is done.
// An interrupt or SIGTERM asks a server to finish what is under way; another one, a second
// later or more, ends the process at once. Unless GOGC is set, the garbage collector is given the room that a server
// needs.
func Main(opts Options) {
	if os.Getenv("GOGC") == "" {
		workload.TuneGC()
	}
	if opts.Name == "" {
		opts.Name = strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// Two in one instant are one: a supervisor hands on what the terminal has sent already.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	err := Run(ctx, opts, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	var reported reportedError
	if err != nil && !errors.As(err, &reported) {
		fmt.Fprintln(os.Stderr, opts.Name+": "+oneLine(err))
	}
	os.Exit(ExitCode(err))
}

// Run runs one command line, without the command's own name, and returns what went wrong,
// which includes that stdout cannot be written.
// It blocks until the verb is done; a server serves until ctx ends, and then lets requests
// and jobs under way finish for as long as its flag --drain says; with --drain-notice it is
// not ready for that long before, and serves as ever.
func Run(ctx context.Context, opts Options, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if opts.Name == "" {
		opts.Name = "carillon"
	}
	if opts.About == "" {
		opts.About = "the functions of " + opts.Name
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	p := &program{opts, time.After}
	out := &standardOutput{Writer: stdout}
	root := p.tree(Stdio{stdin, out, stderr, opts.Name, &p.Engine})
	args = doubled(root, args)
	if len(args) > 0 && args[0] == "--version" {
		args = append([]string{"version"}, args[1:]...)
	}
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return err
	}
	return out.failed
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// reportedError is one that the command has told about on standard error itself.
type reportedError struct{ error }

// ExitCode is the exit code of a process whose Run returned the error: 0 for none, 2 for
// wrong usage, the code of package dispatch's table for an error that has one, and else 1.
func ExitCode(err error) int {
	var usage usageError
	var reported reportedError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return 2
	case errors.As(err, &reported):
		return 1
	}
	if code := dispatch.AsError(err).Code; code != dispatch.CodeInternal {
		return code.ExitCode()
	}
	return 1
}
