package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// NewTLS starts a server that ends with the test, and listens on a port of loopback, where it wants
// TLS. Its certificate is for localhost alone, and is its own root.
func NewTLS(tb testing.TB) (s *Server, port, root string) {
	tb.Helper()
	s = start(tb, func(s *Server) error {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.port = listener.Addr().(*net.TCPAddr).Port
		cert, key := filepath.Join(s.dir, "cert"), filepath.Join(s.dir, "key")
		s.Settings = []string{"ssl=on", "ssl_cert_file=" + cert, "ssl_key_file=" + key}
		hba := "local all all trust\nhostssl all all 127.0.0.1/32 trust\n"
		return errors.Join(listener.Close(), certify(cert, key), os.WriteFile(filepath.Join(s.dir, "data", "pg_hba.conf"), []byte(hba), 0o644))
	})
	return s, strconv.Itoa(s.port), filepath.Join(s.dir, "cert")
}

// certify makes a certificate for localhost, and its key.
func certify(cert, key string) error {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, about, about, secret.Public(), secret)
	if err != nil {
		return err
	}
	hidden, err := x509.MarshalECPrivateKey(secret)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o644),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: hidden}), 0o600))
}
