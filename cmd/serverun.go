package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"carillon/actors"
	"carillon/server"
	"carillon/server/metrics"
)

// run serves until ctx ends, and then lets requests and jobs under way finish. isOpen says
// whether operators need no token at the address.
func (s *serving) run(ctx context.Context, std Stdio, isOpen func(net.Addr) (bool, error)) error {
	if *s.drain < 0 {
		return usageError{fmt.Errorf("--drain is %v, want 0s or more", *s.drain)}
	}
	if s.notice < 0 {
		return usageError{fmt.Errorf("--drain-notice is %v, want 0s or more", s.notice)}
	}
	logger, err := s.logger(std.Err)
	if err != nil {
		return err
	}
	span, err := s.watchdog()
	if err != nil {
		return usageError{err}
	}
	manager := notifier{s.Getenv("NOTIFY_SOCKET"), logger}
	if err := s.node.check(); err != nil {
		return err
	}
	if s.node.log != "" {
		s.dir = &s.node.cache
	} else if err := refuseForeign(*s.dir); err != nil {
		return err
	}
	engine, err := s.engine()
	defer s.workers.close()
	if err != nil {
		return err
	}
	engine.Logger = logger
	listen, scheme, err := s.listener(logger)
	if err != nil {
		return err
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
	if s.conns > 0 {
		ln = server.LimitConns(ln, s.conns)
	}
	start := &server.Startup{BasePath: s.Server.BasePath}
	m := metrics.New()
	side, at, err := s.serveMetrics(ctx, start.Probes(m.Handler(), s.Server.Hosts...), logger)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer side.end()
	door := listening(ctx, func(ctx context.Context) error { return listen(ctx, ln, start, *s.drain, logger) })
	r := &running{
		serving: s, std: std, logger: logger, manager: manager, span: span,
		start: start, metrics: m, metricsAt: at, site: scheme, addr: ln.Addr(), open: open, door: door,
	}
	engine.Functions.Use(m.Middleware)
	if s.node.log != "" {
		return r.asNode(ctx, engine)
	}
	logger.Info("opening the store", "data", *s.dir, "metrics", at, "listen", ln.Addr().String())
	eng, err := actors.Open(*s.dir, engine)
	if err != nil {
		return errors.Join(openError(std, *s.dir, err), door.end())
	}
	if ctx.Err() == nil {
		r.serve(ctx, eng)
		if err = r.greetAll(eng); err == nil {
			manager.tell("READY=1")
			defer r.beat(ctx, func() *actors.Engine { return eng }).end()
			r.wait(ctx, nil)
		}
	}
	return r.end(ctx, eng, err)
}

// running is a server that has its address, and an engine from serve on.
type running struct {
	*serving
	std     Stdio
	logger  *slog.Logger
	manager notifier
	span    time.Duration // of the manager's watchdog; 0: none

	start     *server.Startup
	metrics   *metrics.Metrics
	metricsAt string // "": nowhere
	site      string // scheme of the URLs
	addr      net.Addr
	open      bool
	door      *listener
}

// serve has the engine answer. Streams end when draining does.
func (r *running) serve(draining context.Context, eng *actors.Engine) {
	opts := r.Server
	opts.Identify, opts.Operator, opts.Logger = r.identify, operatorGate(server.Tokens(eng), r.open), r.logger
	opts.Token = r.token
	opts.RequestsPerSecond, opts.TrustedProxies = r.rate, r.proxies
	opts.Draining, opts.Metrics, opts.Version = draining, r.metrics.Handler(), builtFrom()
	if r.mcp { // off unless it is asked for: it is one more door
		opts.MCP = r.Agents.Handler(r.mcpWrite)
	}
	if opts.Refusals == nil {
		opts.Refusals = new(server.Refusals)
	}
	r.metrics.Watch(eng, opts.Refusals)
	r.start.Serve(server.New(eng, opts))
}

// greetAll says on standard output what is served, and how it is looked after.
func (r *running) greetAll(eng *actors.Engine) error {
	out := r.std.Out
	r.greet(out, r.site, r.addr)
	if r.mcp {
		fmt.Fprintf(out, "Agents have tools at %s/mcp.\n", r.Server.BasePath)
	}
	if r.metricsAt != "" {
		fmt.Fprintf(out, "Metrics are on http://%s/metrics, without a token.\n", r.metricsAt)
	}
	if r.whose != "" {
		fmt.Fprintf(out, "Clients call with %s.\n", r.whose)
	}
	return r.greetOperators(out, eng, r.open)
}

// beat tells the manager that the server works, as long as the engine that there is answers.
func (r *running) beat(ctx context.Context, engine func() *actors.Engine) *listener {
	return listening(ctx, func(ctx context.Context) error {
		if r.span == 0 || r.manager.socket == "" {
			return nil
		}
		keepAlive(ctx, r.span, func(ctx context.Context) error {
			eng := engine()
			if eng == nil || eng.Closing() {
				return nil // there is none, or it has until the end of --drain
			}
			return eng.Ping(ctx)
		}, func() { r.manager.tell("WATCHDOG=1") }, r.logger)
		return nil
	})
}

// end has requests and jobs under way finish, and closes the engine, with one limit for all of it.
func (r *running) end(ctx context.Context, eng *actors.Engine, err error) error {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), *r.drain)
	defer cancel()
	if err = errors.Join(err, r.door.end(), eng.Close(limit)); err == nil {
		fmt.Fprintln(r.std.Out, stopped)
	}
	return err
}

// stopped is what a server says last.
const stopped = "stopped; what was not due yet runs after the next start"

// metricsConns bounds the connections to the address of the metrics.
const metricsConns = 64

// serveMetrics answers at the address of the metrics, if there is one.
func (s *serving) serveMetrics(ctx context.Context, h http.Handler, logger *slog.Logger) (door *listener, at string, err error) {
	if s.metrics == "" {
		return listening(ctx, func(context.Context) error { return nil }), "", nil
	}
	ln, err := net.Listen("tcp", s.metrics)
	if err != nil {
		return nil, "", err
	}
	return listening(ctx, func(ctx context.Context) error {
		err := server.Serve(ctx, server.LimitConns(ln, metricsConns), h, time.Second, logger)
		if err != nil {
			logger.Warn("the address of the metrics", "err", err) // nothing else needs it
		}
		return err
	}), ln.Addr().String(), nil
}

// wait returns when the server should take no more requests: ctx has ended and the notice is over, or the
// listener has failed; or, and then it returns true, when the engine has lost its store.
func (r *running) wait(ctx context.Context, lost <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		r.logger.Info("told to stop", "notice", r.notice, "drain", *r.drain)
		r.manager.tell("STOPPING=1")
	case <-r.door.done:
		return false
	case <-lost:
		return true
	}
	if r.notice > 0 {
		select {
		case <-r.after(r.notice):
		case <-r.door.done:
		case <-lost:
		}
	}
	return false
}

// listener returns what serves connections, and the scheme of its URLs.
func (s *serving) listener(logger *slog.Logger) (serve func(context.Context, net.Listener, http.Handler, time.Duration, *slog.Logger) error, scheme string, err error) {
	if s.cert == "" {
		return server.Serve, "http", nil
	}
	config, err := server.TLSFiles(s.cert, s.key, logger)
	if err != nil {
		return nil, "", err
	}
	return func(ctx context.Context, ln net.Listener, h http.Handler, drain time.Duration, logger *slog.Logger) error {
		return server.ServeTLS(ctx, ln, h, config, drain, logger)
	}, "https", nil
}

// listener is one that is served beside what began it.
type listener struct {
	stop context.CancelFunc
	done chan struct{} // closed when it is served no more
	err  error         // how it ended; after done
}

// listening has serve go on until end is called, whatever becomes of ctx.
func listening(ctx context.Context, serve func(context.Context) error) *listener {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &listener{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.err = serve(ctx)
	}()
	return l
}

// end has no more connections taken, waits for requests under way as serve does, and returns how
// that went.
func (l *listener) end() error {
	l.stop()
	<-l.done
	return l.err
}
