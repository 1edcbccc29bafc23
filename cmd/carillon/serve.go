package main

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
	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/webhook"
	"carillon/storage"
)

// tokenFile is where the first token is written, in the data directory.
const tokenFile = "operator-token"

// serving is what a server of the sample app is told.
type serving struct {
	dir, listen *string
	drain       *time.Duration
	token       string // of operators, beside those of the store; "": none
	autoCreate  bool   // an app comes into being when a client first writes to it

	webhook, secretFile string // where alerts go; "": nowhere

	rate    int
	proxies []netip.Prefix

	cert, key string // files; "": without TLS

	clients *clients // nil, or without an issuer: no one is asked who they are
}

// serverFlags declares the flags that demo and serve have.
func serverFlags(flags *flag.FlagSet, dir string) *serving {
	return &serving{
		dir:    flags.String("data", dir, "`DIR` of the sample app's data, made if there is none"),
		listen: flags.String("listen", defaultListen, "`ADDR` to listen on, host:port; port 0 is any that is free"),
		drain:  flags.Duration("drain", 10*time.Second, "`TIME` that requests and jobs have to finish at the end"),
	}
}

// serve serves the sample app as one that matters is: operators need a token.
func serve(flags *flag.FlagSet) func(context.Context, stdio) error {
	s := serverFlags(flags, "./data")
	open := flags.Bool("open-loopback", false, "let every client on this machine be an operator, without a token; for a loopback address only")
	flags.BoolVar(&s.autoCreate, "auto-create", false, "let an app come into being when a client first calls it; else operators make apps: carillon help apps")
	flags.IntVar(&s.rate, "rate", 0, "`N` requests of one client that are answered in a second; 0 is any number")
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
	s.clients = clientFlags(flags)
	flags.StringVar(&s.cert, "tls-cert", "", "`FILE` of the certificate, or chain of them, in PEM, to serve https; it is read again when it changes")
	flags.StringVar(&s.key, "tls-key", "", "`FILE` of the certificate's key, in PEM")
	flags.StringVar(&s.webhook, "webhook", "", "`URL` that is told of dead jobs, missed slots and stuck handlers; with --webhook-secret")
	flags.StringVar(&s.secretFile, "webhook-secret", "", "`FILE` with the secret, whsec_…, that each request to the webhook is signed with")
	return func(ctx context.Context, std stdio) error {
		if err := s.clients.check(); err != nil {
			return err
		}
		if (s.cert == "") != (s.key == "") {
			return usageError{errors.New("--tls-cert and --tls-key go together")}
		}
		if s.rate < 0 {
			return usageError{fmt.Errorf("--rate is %d, want 0 or more", s.rate)}
		}
		return s.run(ctx, std, func(addr net.Addr) (bool, error) {
			if *open && !isLoopback(addr) {
				return false, usageError{fmt.Errorf("--open-loopback: others than this machine can reach %s", addr)}
			}
			return *open, nil
		})
	}
}

// run serves until ctx ends, and then lets requests and jobs under way finish. isOpen says
// whether operators need no token at the address.
func (s *serving) run(ctx context.Context, std stdio, isOpen func(net.Addr) (bool, error)) (err error) {
	if *s.drain < 0 {
		return usageError{fmt.Errorf("--drain is %v, want 0s or more", *s.drain)}
	}
	if err := refuseForeign(*s.dir); err != nil {
		return err
	}
	functions, err := s.functions()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(std.err, nil))
	listen := server.Serve
	scheme := "http"
	if s.cert != "" {
		config, err := server.TLSFiles(s.cert, s.key, logger)
		if err != nil {
			return err
		}
		scheme = "https"
		listen = func(ctx context.Context, ln net.Listener, h http.Handler, drain time.Duration, logger *slog.Logger) error {
			return server.ServeTLS(ctx, ln, h, config, drain, logger)
		}
	}
	// The address first: if it is taken, no job may have run.
	ln, err := net.Listen("tcp", *s.listen)
	if err != nil {
		return err
	}
	open, err := isOpen(ln.Addr())
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	eng, err := actors.Open(*s.dir, actors.Options{
		Program:    sample.Program,
		AdoptEmpty: true, // it never takes to be its own what another has left
		Functions:  functions,
		Tables:     sample.Tables(),
		Pools:      sample.Pools(),
		Crons:      sample.Crons(),
		MaxApps:    sample.MaxApps,
		Admit:      s.admit(),
		Limits:     dispatch.Limits{Result: resultLimit},
		Logger:     logger,
	})
	if err != nil {
		return errors.Join(openError(*s.dir, err), ln.Close())
	}
	// One limit for requests and jobs together, from the first word of the end.
	limit, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	forget := context.AfterFunc(ctx, func() { time.AfterFunc(*s.drain, cancel) })
	greet(std.out, scheme, ln.Addr(), *s.dir, s.autoCreate)
	var identify func(*http.Request) (*dispatch.Identity, error)
	if s.clients != nil && s.clients.issuer != "" {
		identify = s.clients.identify
		fmt.Fprintf(std.out, "Clients call with tokens of %s.\n", s.clients.issuer)
	}
	if err = s.greetOperators(std.out, eng, open); err == nil {
		handler := server.New(eng, server.Options{
			Identify: identify, Operator: operatorGate(server.Tokens(eng), s.token, open), Logger: logger, RequestsPerSecond: s.rate, TrustedProxies: s.proxies,
		})
		err = listen(ctx, ln, handler, *s.drain, logger)
	} else {
		err = errors.Join(err, ln.Close())
	}
	if forget() {
		time.AfterFunc(*s.drain, cancel) // the listener has failed
	}
	if err = errors.Join(err, eng.Close(limit)); err == nil {
		fmt.Fprintln(std.out, "stopped; what was not due yet runs after the next start")
	}
	return err
}

// functions are the sample's, and the webhook if there is one.
func (s *serving) functions() (*dispatch.Registry, error) {
	reg := sample.Functions()
	if s.webhook == "" && s.secretFile == "" {
		return reg, nil
	}
	if s.webhook == "" || s.secretFile == "" {
		return nil, usageError{errors.New("--webhook and --webhook-secret go together")}
	}
	secret, err := os.ReadFile(s.secretFile)
	if err != nil {
		return nil, err
	}
	if err := webhook.Register(reg, webhook.Options{URL: s.webhook, Secret: strings.TrimSpace(string(secret))}); err != nil {
		return nil, usageError{err}
	}
	return reg, nil
}

// admit says which apps may come into being because they are called.
func (s *serving) admit() func(context.Context, storage.AppID, bool) error {
	if s.autoCreate {
		return sample.Admit()
	}
	return func(_ context.Context, app storage.AppID, exists bool) error {
		if exists {
			return nil
		}
		return dispatch.Errorf(dispatch.CodeNotFound, "no such app %q: an operator makes it with carillon apps create", app)
	}
}

// greetOperators says who operators are, and makes the first token if they need one and there
// is none.
func (s *serving) greetOperators(w io.Writer, eng *actors.Engine, open bool) error {
	switch {
	case s.token != "":
		fmt.Fprintln(w, "Jobs and triggers are looked after with the admin token; see carillon help crons.")
		return nil
	case open:
		fmt.Fprintln(w, "Warning: every client on this machine looks after jobs and triggers, without a token; see carillon help crons.")
		return nil
	}
	all, err := eng.Tokens().List()
	if err != nil {
		return err
	}
	if len(all) > 0 {
		fmt.Fprintln(w, "Jobs and triggers are looked after with a token; see carillon help tokens.")
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
