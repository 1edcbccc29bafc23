package pglog

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

// TestUnfitServers: each setting that loses what was acknowledged is a reason by itself.
func TestUnfitServers(t *testing.T) {
	fit := server{commit: "on", fsync: "on", version: 130000, process: 7, told: 7, timeline: 3}
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
	} {
		s := fit
		tt.change(&s)
		if why := s.unfit(3); (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) {
			t.Errorf("%+v: %q, want %q", s, why, tt.why)
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
