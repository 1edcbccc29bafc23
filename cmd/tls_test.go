package cmd

import (
	"path/filepath"
	"testing"
)

// TestTLSIsWhole: a certificate without a key, and one that is not there, are refused before
// anything listens.
func TestTLSIsWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"--tls-cert", "cert.pem"}, 2},
		{[]string{"--tls-key", "key.pem"}, 2},
		{[]string{"--tls-cert", "cert.pem", "--tls-key", "key.pem"}, 1},
	} {
		if out, err := runs(t, append([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0"}, tt.args...)...); ExitCode(err) != tt.code {
			t.Errorf("%v: %v, %s", tt.args, err, out)
		}
	}
}
