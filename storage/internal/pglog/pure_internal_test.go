package pglog

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestUnfitServers: each setting that loses what was acknowledged is a reason by itself.
func TestUnfitServers(t *testing.T) {
	fit := server{commit: "on", fsync: "on", version: 130000, process: 7, told: 7, history: history{system: 5, timeline: 3}}
	for _, tt := range []struct {
		change func(*server)
		why    string
	}{
		{func(*server) {}, ""},
		{func(s *server) { s.commit = "remote_apply" }, ""},
		{func(s *server) { s.timeline = 4 }, ""},
		{func(s *server) { s.version = 129999 }, "version"},
		{func(s *server) { s.recovery = true }, "standby"},
		{func(s *server) { s.fsync = "off" }, "fsync"},
		{func(s *server) { s.commit = "off" }, "synchronous_commit"},
		{func(s *server) { s.commit = "local" }, "synchronous_commit"},
		{func(s *server) { s.commit = "remote_write" }, "synchronous_commit"},
		{func(s *server) { s.told = 8 }, "PgBouncer"},
		{func(s *server) { s.timeline = 2 }, "old primary"},
		{func(s *server) { s.system, s.timeline = 6, 4 }, "the log was on 5"},
	} {
		s := fit
		tt.change(&s)
		if why := s.unfit(fit.history); (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) {
			t.Errorf("%+v: %q, want %q", s, why, tt.why)
		}
	}
}

// TestTimelineIsRemembered: what is written is read; of a file that is torn nothing is.
func TestTimelineIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "timeline")
	h := history{system: 7635542153906384817, timeline: 3}
	if got, err := remembered(path); got != (history{}) || err != nil {
		t.Errorf("of no file: %+v, %v", got, err)
	}
	for range 2 {
		if err := h.remember(path); err != nil {
			t.Fatal(err)
		}
		if got, err := remembered(path); got != h || err != nil {
			t.Errorf("of %+v: %+v, %v", h, got, err)
		}
		h.timeline++
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, text[:len(text)-3], 0o600)
	}
	if got, torn := remembered(path); got != (history{}) || errors.Join(err, torn) != nil {
		t.Errorf("of a torn file: %+v, %v, %v", got, err, torn)
	}
	if err := h.remember(filepath.Join(path, "x")); err == nil {
		t.Error("it is remembered nowhere")
	}
}

// TestPoolerIsNamed: one that refuses a session's settings, as PgBouncer does, is told from other errors.
func TestPoolerIsNamed(t *testing.T) {
	for _, tt := range []struct {
		code, message string
		named         bool
	}{
		{"08P01", "unsupported startup parameter: statement_timeout", true},
		{"08P01", "SASL authentication failed", false},
		{"22023", "invalid value for startup parameter", false},
	} {
		err := error(&pgconn.PgError{Code: tt.code, Message: tt.message})
		if got := pooled(err); errors.Is(got, ErrUnfit) != tt.named || !errors.Is(got, err) {
			t.Errorf("%s %s: %v", tt.code, tt.message, got)
		}
	}
	if err := pooled(io.EOF); err != io.EOF {
		t.Error(err)
	}
}

// TestStatementsArePortable: of what CockroachDB or YugabyteDB lack, or run one by one, they have
// nothing.
func TestStatementsArePortable(t *testing.T) {
	for name, sql := range statements {
		for _, lacks := range []string{"advisory", "notify", "listen ", "lock table", "for share", "::regclass", "pg_", "ctid", "xmin", "skip locked", "lateral", "merge ", "$$", "create "} {
			if strings.Contains(strings.ToLower(sql), lacks) {
				t.Errorf("statement %s has %s", name, lacks)
			}
		}
	}
}

// TestHostsAreTriedInTurn: each attempt begins with the next host, and has all of them, TLS first.
func TestHostsAreTriedInTurn(t *testing.T) {
	is, err := parse("postgres://a,b:7,c/?sslmode=prefer")
	if err != nil {
		t.Fatal(err)
	}
	for first, want := range []string{"atls a btls b ctls c", "btls b ctls c atls a", "ctls c atls a btls b", "atls a btls b ctls c"} {
		config := is.config.Copy()
		begin(config, first)
		got := []string{config.Host}
		if config.TLSConfig != nil {
			got[0] += "tls"
		}
		for _, h := range config.Fallbacks {
			if h.TLSConfig != nil {
				h.Host += "tls"
			}
			got = append(got, h.Host)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("attempt %d: %s, want %s", first, got, want)
		}
	}
}

// TestRowsOfRecords: what is packed is unpacked, and what is not known is an error.
func TestRowsOfRecords(t *testing.T) {
	noise := make([]byte, 500)
	_, _ = rand.Read(noise)
	for _, data := range [][]byte{{0}, bytes.Repeat([]byte("a"), packLeast-1), bytes.Repeat([]byte("a"), packLeast), noise, make([]byte, 1<<20)} {
		row := pack(data)
		if len(row) > len(data)+1 || len(data) == 1<<20 && len(row) > 1<<16 {
			t.Errorf("%d bytes make a row of %d", len(data), len(row))
		}
		if got, err := unpack(row); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes come back as %d: %v", len(data), len(got), err)
		}
	}
	if data, err := unpack(nil); data != nil || err != nil {
		t.Errorf("a takeover has %q, %v", data, err)
	}
	for _, bad := range [][]byte{{0}, {3, 1}, {compressed}, {compressed, 0xff, 0xff, 0xff, 0xff, 0x0f}} {
		if _, err := unpack(bad); err == nil {
			t.Errorf("%x is unpacked", bad)
		}
	}
	if _, err := unpack([]byte{3}); !errors.Is(err, errForm) {
		t.Errorf("a later form: %v", err)
	}
}

// TestStatementsAreNotCompiled: a plan that avoids what is off is thought to be dear, and compiling it takes longer by far than
// to run it.
func TestStatementsAreNotCompiled(t *testing.T) {
	is, err := parse("postgres://db/carillon?jit=on")
	if err != nil || is.config.RuntimeParams["jit"] != "off" {
		t.Errorf("the settings of a session are %v, %v", is.config.RuntimeParams, err)
	}
}
