package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/webhook"
	"carillon/storage"
)

// tokenFile is where the first token is written, in the data directory.
const tokenFile = "operator-token"

// serving is what a server of the program is told.
type serving struct {
	*program
	dir, listen         *string
	drain               *time.Duration
	notice              time.Duration // from when it is not ready any more until it takes no more requests
	metrics             string        // an address of their own; "": none
	logFormat, logLevel string        // not if the program has a logger of its own
	token               string        // of operators, beside those of the store; "": none
	autoCreate          bool          // an app comes into being when a client first writes to it

	mcp, mcpWrite bool // agents have tools, and such that change something

	webhook, secretFile string // where alerts go; "": nowhere

	workers workers
	node    nodeFlags

	rate    int
	conns   int // 0: server.DefaultMaxConns
	proxies []netip.Prefix

	cert, key string // files; "": without TLS

	identify func(*http.Request) (*dispatch.Identity, error) // who a client is; nil: no client is asked
	whose    string                                          // clients those are, if flags say so
}

// serverFlags declares the flags that demo and serve have.
func (p *program) serverFlags(flags *flag.FlagSet, dir string) *serving {
	s := &serving{
		program: p, identify: p.Server.Identify,
		dir:    flags.String("data", dir, "`DIR` of the data, made if there is none"),
		listen: flags.String("listen", defaultListen, "`ADDR` to listen on, host:port; port 0 is any that is free"),
		drain:  flags.Duration("drain", 10*time.Second, "`TIME` that requests and jobs have to finish at the end"),
	}
	if p.Engine.Logger == nil {
		flags.StringVar(&s.logFormat, "log-format", "text", "`FORMAT` of the log on standard error: text or json")
		flags.StringVar(&s.logLevel, "log-level", "info", "`LEVEL` from which on there are lines in it: debug, info, warn or error")
	}
	return s
}

// logger is that of the program, or else what the flags say.
func (s *serving) logger(w io.Writer) (*slog.Logger, error) {
	if s.Engine.Logger != nil {
		return s.Engine.Logger, nil
	}
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[s.logLevel]
	if !ok {
		return nil, usageError{fmt.Errorf("--log-level is %q, want debug, info, warn or error", s.logLevel)}
	}
	opts := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, usageError{fmt.Errorf("--log-format is %q, want text or json", s.logFormat)}
}

// serve serves the program as one that matters is: operators need a token.
func (p *program) serve(flags *flag.FlagSet) func(context.Context, Stdio) error {
	s := p.serverFlags(flags, "./data")
	open := flags.Bool("open-loopback", false, "let every client on this machine be an operator, without a token; for a loopback address only")
	flags.BoolVar(&s.autoCreate, "auto-create", false, "let an app come into being when a client first calls it; else operators make apps: see apps create")
	flags.IntVar(&s.rate, "rate", 0, "`N` requests of one client that are answered in a second; 0 is any number")
	flags.IntVar(&s.conns, "max-conns", server.DefaultMaxConns, "`N` connections are open at once")
	p.limitFlags(flags)
	flags.Func("trusted-proxies", "`NETWORKS` of proxies in front, such as 10.0.0.0/8, with commas between: X-Forwarded-For then says who the client is", func(text string) error {
		for _, word := range listOf(text) {
			network, err := netip.ParsePrefix(word)
			if err != nil {
				return err
			}
			s.proxies = append(s.proxies, network)
		}
		return nil
	})
	if p.Clients != nil {
		p.Clients.Flags(flags)
	}
	if p.Agents != nil {
		flags.BoolVar(&s.mcp, "mcp", false, "give agents tools at /mcp, which only read; they show the token of an operator")
		flags.BoolVar(&s.mcpWrite, "mcp-allow-write", false, "with --mcp, give those whose token has the scope write tools that change something, too")
	}
	flags.StringVar(&s.cert, "tls-cert", "", "`FILE` of the certificate, or chain of them, in PEM, to serve https; it is read again when it changes")
	flags.StringVar(&s.key, "tls-key", "", "`FILE` of the certificate's key, in PEM")
	flags.StringVar(&s.metrics, "metrics-listen", "", "`ADDR`, host:port, where /metrics, /livez and /readyz are answered without a token, until the very end")
	flags.DurationVar(&s.notice, "drain-notice", 0, "`TIME` at the end in which /readyz is red and requests are served as ever, for a load balancer to look elsewhere; then comes --drain")
	flags.StringVar(&s.webhook, "webhook", "", "`URL` that is told of dead jobs, missed slots and stuck handlers; with --webhook-secret")
	flags.StringVar(&s.secretFile, "webhook-secret", "", "`FILE` with the secret, whsec_…, that each request to the webhook is signed with")
	s.workers.flags(flags)
	if p.Log != nil {
		s.node.flags(flags)
	}
	return func(ctx context.Context, std Stdio) error {
		if (s.cert == "") != (s.key == "") {
			return usageError{errors.New("--tls-cert and --tls-key go together")}
		}
		if s.mcpWrite && !s.mcp {
			return usageError{errors.New("--mcp-allow-write is for --mcp")}
		}
		if s.rate < 0 {
			return usageError{fmt.Errorf("--rate is %d, want 0 or more", s.rate)}
		}
		if s.conns < 1 || s.conns > 1_000_000 {
			return usageError{fmt.Errorf("--max-conns is %d, want 1 to 1000000", s.conns)}
		}
		if p.Clients != nil {
			identify, of, err := p.Clients.Identify()
			if err != nil {
				return usageError{err}
			}
			if identify != nil {
				s.identify, s.whose = identify, of
			}
		}
		return s.run(ctx, std, func(addr net.Addr) (bool, error) {
			if *open && !isLoopback(addr) {
				return false, usageError{fmt.Errorf("--open-loopback: others than this machine can reach %s", addr)}
			}
			return *open, nil
		})
	}
}

// engine is what the program says, with the webhook and the workers if there are any. It never takes to be
// its own what another program has left.
func (s *serving) engine() (actors.Options, error) {
	opts := s.Engine
	opts.AdoptEmpty = true
	if !s.autoCreate {
		opts.Admit = s.admit
	}
	if opts.Functions == nil {
		opts.Functions = dispatch.NewRegistry()
	}
	opts.Functions = opts.Functions.Clone()
	if err := s.workers.register(opts.Functions); err != nil {
		return opts, err
	}
	if s.webhook == "" && s.secretFile == "" {
		return opts, nil
	}
	if s.webhook == "" || s.secretFile == "" {
		return opts, usageError{errors.New("--webhook and --webhook-secret go together")}
	}
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return opts, err
	}
	if err := webhook.Register(opts.Functions, webhook.Options{URL: s.webhook, Secret: strings.TrimSpace(string(secret))}); err != nil {
		return opts, usageError{err}
	}
	return opts, nil
}

// admit lets no app come into being because it is called.
func (s *serving) admit(_ context.Context, app storage.AppID, exists bool) error {
	if exists {
		return nil
	}
	return dispatch.Errorf(dispatch.CodeNotFound, "no such app %q: an operator makes it with %s apps create", app, s.Name)
}

// greetOperators says who operators are, and makes the first token if they need one and there
// is none.
func (s *serving) greetOperators(w io.Writer, eng *actors.Engine, open bool) error {
	switch {
	case s.token != "":
		fmt.Fprintf(w, "Jobs and triggers are looked after with the admin token; see %s help crons.\n", s.Name)
		return nil
	case open:
		fmt.Fprintf(w, "Warning: every client on this machine looks after jobs and triggers, without a token; see %s help crons.\n", s.Name)
		return nil
	}
	all, err := eng.Tokens().List()
	if err != nil {
		return err
	}
	if len(all) > 0 {
		fmt.Fprintf(w, "Jobs and triggers are looked after with a token; see %s help tokens.\n", s.Name)
		return nil
	}
	text, token, err := server.NewToken(eng.Tokens(), server.Operator{Name: "first", AllApps: true, Scopes: server.Scopes()}, eng.Clock().Wall, time.Time{})
	if err != nil {
		return err
	}
	path := filepath.Join(*s.dir, tokenFile)
	if err := writeToken(path, text); err != nil {
		_, undo := eng.Tokens().Remove(token.ID)
		return errors.Join(err, undo)
	}
	fmt.Fprintf(w, "Jobs and triggers are looked after with a token. The first, which is in %s and is not shown again:\n  %s\n", path, text)
	return nil
}

// writeToken writes the file, which its owner alone can read, in the place of one that there was.
func writeToken(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}
