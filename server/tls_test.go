package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/server"
)

// authority is a certificate authority in memory.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	pool  *x509.CertPool
	count int64
}

func mustAuthority(tb testing.TB) *authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool(), count: 1}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		tb.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// mustIssue returns the PEM of a certificate for this machine, whose serial number is one higher
// each time, and of its key.
func (a *authority) mustIssue(tb testing.TB) (cert, key string) {
	tb.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	a.count++
	of := &x509.Certificate{
		SerialNumber: big.NewInt(a.count), NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, of, a.cert, own.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// mustWrite writes the file as of the instant.
func mustWrite(tb testing.TB, path, text string, at time.Time) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		tb.Fatal(err)
	}
}

// TestACertificateFollowsItsFiles: a new pair is used from a second later on; of a bad one, or half
// a one, the log tells once, and the one before stays.
func TestACertificateFollowsItsFiles(t *testing.T) {
	ca, dir := mustAuthority(t), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for _, text := range []string{"", "nonsense"} {
		if text != "" {
			mustWrite(t, certFile, text, time.Unix(1, 0))
			mustWrite(t, keyFile, text, time.Unix(1, 0))
		}
		if _, err := server.TLSFiles(certFile, keyFile, nil); err == nil || !strings.Contains(err.Error(), certFile) {
			t.Errorf("files %q: %v", text, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		log := new(logBuffer)
		write := func(cert, key string, at int64) {
			mustWrite(t, certFile, cert, time.Unix(at, 0))
			mustWrite(t, keyFile, key, time.Unix(at, 0))
		}
		cert, key := ca.mustIssue(t)
		write(cert, key, 2)
		config, err := server.TLSFiles(certFile, keyFile, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		serves := func(what string, want int64) {
			t.Helper()
			pair, err := config.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := pair.Leaf.SerialNumber.Int64(); got != want {
				t.Errorf("%s: certificate %d is served, want %d", what, got, want)
			}
		}
		serves("at first", 2)
		other, otherKey := ca.mustIssue(t)
		write(other, otherKey, 3)
		time.Sleep(time.Second - 1)
		serves("a nanosecond early", 2)
		time.Sleep(time.Nanosecond)
		serves("a second later", 3)
		write(cert, otherKey, 4) // of which the key is not there yet
		for range 5 {
			time.Sleep(time.Second)
			serves("with half a pair", 3)
		}
		if n := strings.Count(log.String(), "the certificate stays"); n != 1 {
			t.Errorf("the log tells %d times:\n%s", n, log)
		}
		mustWrite(t, keyFile, key, time.Unix(5, 0))
		time.Sleep(time.Second)
		serves("with the other half", 2)
		if err := os.Remove(certFile); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		serves("without a file", 2)
		if config.MinVersion != tls.VersionTLS12 {
			t.Errorf("TLS from %x on is taken", config.MinVersion)
		}
	})
}

// TestServeTLS: by HTTP/2 and by HTTP/1.1, with TLS of 1.2 or later; the bounds of connections
// hold, an idle one makes room for a new one, and the end drains.
func TestServeTLS(t *testing.T) {
	ca, dir := mustAuthority(t), t.TempDir()
	cert, key := ca.mustIssue(t)
	mustWrite(t, filepath.Join(dir, "cert"), cert, time.Unix(1, 0))
	mustWrite(t, filepath.Join(dir, "key"), key, time.Unix(1, 0))
	config, err := server.TLSFiles(filepath.Join(dir, "cert"), filepath.Join(dir, "key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inside, release := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(inside)
			<-release
		}
		fmt.Fprint(w, r.Proto, " ", r.TLS != nil)
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.ServeTLS(ctx, server.LimitConns(ln, 2), handler, config, time.Minute, slog.New(slog.DiscardHandler))
	}()
	client := func(http2 bool, most uint16) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS10, MaxVersion: most}, ForceAttemptHTTP2: http2}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: 10 * time.Second}
	}
	get := func(c *http.Client, path string) string {
		resp, err := c.Get("https://" + ln.Addr().String() + path)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	for range 3 { // each leaves an idle connection, of which there may be two
		if got := get(client(true, 0), "/"); got != "HTTP/2.0 true" {
			t.Fatalf("by HTTP/2: %s", got)
		}
		if got := get(client(false, tls.VersionTLS12), "/"); got != "HTTP/1.1 true" {
			t.Fatalf("by HTTP/1.1: %s", got)
		}
	}
	if got := get(client(false, tls.VersionTLS11), "/"); !strings.Contains(got, "protocol version") {
		t.Errorf("by TLS 1.1: %s", got)
	}
	slow := make(chan string, 1)
	go func() { slow <- get(client(true, 0), "/slow") }()
	mustGet(t, inside)
	stop()
	close(release)
	if got := mustGet(t, slow); got != "HTTP/2.0 true" {
		t.Errorf("the request inside: %s", got)
	}
	if err := mustGet(t, done); err != nil {
		t.Error(err)
	}
}
