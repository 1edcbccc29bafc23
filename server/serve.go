package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of a connection. A whole request has no deadline of its own, because
// an action may take minutes; the handler bounds its parts.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// Serve answers requests from the listener, which it closes, until ctx ends, on up to
// DefaultMaxConns connections unless the listener is one of LimitConns.
// Then it takes no more, waits up to drain for those under way, and cancels what
// is left; the error says if there was any. It returns when no request runs, but
// for handlers that ignore their context. logger, which may be nil, is told what
// net/http has to say of connections.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, drain time.Duration, logger *slog.Logger) error {
	return serve(ctx, ln, h, nil, drain, logger)
}

// serve is Serve, or with a config ServeTLS.
func serve(ctx context.Context, ln net.Listener, h http.Handler, config *tls.Config, drain time.Duration, logger *slog.Logger) error {
	if logger == nil {
		logger = slog.Default()
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		TLSConfig:         config,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxRequestsOfConn},
		// "OPTIONS *" is answered by the handler like everything else.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	limited, ok := ln.(*limitedListener)
	if !ok {
		limited = LimitConns(ln, DefaultMaxConns).(*limitedListener)
	}
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		limited.note(limitedOf(conn), state)
	}
	served := make(chan error, 1)
	go func() {
		if config != nil {
			served <- srv.ServeTLS(limited, "", "")
			return
		}
		served <- srv.Serve(ownRefusals{limited})
	}()
	select {
	case err := <-served:
		return err // the listener failed; nothing was taken since
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := srv.Shutdown(limit)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off after %v: %w", drain, err), srv.Close())
	}
	<-served
	return err
}
