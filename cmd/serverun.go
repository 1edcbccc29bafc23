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
	if err := refuseForeign(*s.dir); err != nil {
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
	logger.Info("opening the store", "data", *s.dir, "metrics", at, "listen", ln.Addr().String())
	engine.Functions.Use(m.Middleware)
	eng, err := actors.Open(*s.dir, engine)
	if err != nil {
		return errors.Join(openError(std, *s.dir, err), door.end())
	}
	if ctx.Err() == nil {
		opts := s.Server
		opts.Identify, opts.Operator, opts.Logger = s.identify, operatorGate(server.Tokens(eng), open), logger
		opts.Token = s.token
		opts.RequestsPerSecond, opts.TrustedProxies = s.rate, s.proxies
		opts.Draining, opts.Metrics, opts.Version = ctx, m.Handler(), builtFrom()
		if s.mcp { // off unless it is asked for: it is one more door
			opts.MCP = s.Agents.Handler(s.mcpWrite)
		}
		if opts.Refusals == nil {
			opts.Refusals = new(server.Refusals)
		}
		m.Watch(eng, opts.Refusals)
		start.Serve(server.New(eng, opts))
		s.greet(std.Out, scheme, ln.Addr())
		if s.mcp {
			fmt.Fprintf(std.Out, "Agents have tools at %s/mcp.\n", opts.BasePath)
		}
		if at != "" {
			fmt.Fprintf(std.Out, "Metrics are on http://%s/metrics, without a token.\n", at)
		}
		if s.whose != "" {
			fmt.Fprintf(std.Out, "Clients call with %s.\n", s.whose)
		}
		if err = s.greetOperators(std.Out, eng, open); err == nil {
			manager.tell("READY=1")
			beats := listening(ctx, func(ctx context.Context) error {
				if span == 0 || manager.socket == "" {
					return nil
				}
				keepAlive(ctx, span, func(ctx context.Context) error {
					if eng.Closing() {
						return nil // it has until the end of --drain
					}
					return eng.Ping(ctx)
				}, func() { manager.tell("WATCHDOG=1") }, logger)
				return nil
			})
			defer beats.end()
			s.wait(ctx, door, func() {
				logger.Info("told to stop", "notice", s.notice, "drain", *s.drain)
				manager.tell("STOPPING=1")
			})
		}
	}
	// One limit for requests and jobs together.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), *s.drain)
	defer cancel()
	if err = errors.Join(err, door.end(), eng.Close(limit)); err == nil {
		fmt.Fprintln(std.Out, "stopped; what was not due yet runs after the next start")
	}
	return err
}

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

// wait returns when the server should take no more requests: ctx has ended and the notice is over, or
// the listener has failed. told is called between the two.
func (s *serving) wait(ctx context.Context, door *listener, told func()) {
	select {
	case <-ctx.Done():
		told()
	case <-door.done:
		return
	}
	if s.notice > 0 {
		select {
		case <-s.after(s.notice):
		case <-door.done:
		}
	}
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
