package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often the files of a certificate are looked at, at most.
const certificateEvery = time.Second

// TLSFiles returns what ServeTLS needs to be known by the certificate, or chain of them, and the
// key in two PEM files. When they change, the connections that come from a second later on are
// served with what they have then; a pair that cannot be read, or does not fit, is told the
// logger, which may be nil, and the one before stays. TLS is 1.2 at least. An error says that the
// files are no pair now.
func TLSFiles(certFile, keyFile string, logger *slog.Logger) (*tls.Config, error) {
	if logger == nil {
		logger = slog.Default()
	}
	f := &tlsFiles{cert: certFile, key: keyFile, logger: logger, lookedAt: time.Now(), seen: stampsOf(certFile, keyFile)}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
	}
	f.pair = &pair
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get}, nil
}

// tlsFiles is a certificate that follows its files.
type tlsFiles struct {
	cert, key string
	logger    *slog.Logger

	mu       sync.Mutex
	pair     *tls.Certificate
	lookedAt time.Time
	seen     [2]stamp // of the files, as pair was read of them, or could not be
}

// stamp tells a file from what it was.
type stamp struct {
	at   time.Time
	size int64
}

func stampsOf(files ...string) (stamps [2]stamp) {
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// get is tls.Config.GetCertificate.
func (f *tlsFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.lookedAt) >= certificateEvery {
		f.lookedAt = now
		// Looked at before they are read: what is written meanwhile is seen next time.
		if stamps := stampsOf(f.cert, f.key); stamps != f.seen {
			f.seen = stamps
			if pair, err := tls.LoadX509KeyPair(f.cert, f.key); err != nil {
				f.logger.Error("the certificate stays as it was: its files have changed and cannot be used", "cert", f.cert, "key", f.key, "err", err)
			} else {
				f.pair = &pair
				f.logger.Info("another certificate is used", "cert", f.cert, "until", pair.Leaf.NotAfter)
			}
		}
	}
	return f.pair, nil
}

// maxRequestsOfConn is how many requests of one connection are served at once, by HTTP/2.
const maxRequestsOfConn = 64

// ServeTLS is Serve for connections with TLS, by HTTP/2 or HTTP/1.1, whose config is that of
// TLSFiles, or has certificates of its own. What net/http refuses itself, before it calls a
// handler, is neither JSON nor a page here.
func ServeTLS(ctx context.Context, ln net.Listener, h http.Handler, config *tls.Config, drain time.Duration, logger *slog.Logger) error {
	return serve(ctx, ln, h, config, drain, logger)
}

// limitedOf is the connection of a limitedListener that net/http has.
func limitedOf(conn net.Conn) *limitedConn {
	switch conn := conn.(type) {
	case *tls.Conn:
		return conn.NetConn().(*limitedConn)
	case *refusingConn:
		return conn.Conn.(*limitedConn)
	}
	panic("server: a connection that is not of this listener")
}
