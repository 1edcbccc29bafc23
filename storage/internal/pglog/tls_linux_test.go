package pglog_test

import (
	"strings"
	"testing"

	"carillon/internal/pgtest"
	"carillon/storage/internal/pglog"
)

// TestServerIsReachedByTLS: with verify-full a server is used whose certificate is for its name
// and from the root that is given, and no other. Its connections are kept between appends.
func TestServerIsReachedByTLS(t *testing.T) {
	s, port, root := pgtest.NewTLS(t)
	address := "postgres://postgres@localhost:" + port + "/postgres?sslmode=verify-full&sslrootcert=" + root
	log, err := pglog.Open(t.Context(), address, pglog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := mustClaim(t, log, 1)
	admin := &place{admin: mustAdmin(t, s)}
	processes := map[int]bool{}
	for seq := uint64(2); seq < 20; seq++ {
		mustAppend(t, log, record(c, seq, "a"))
		processes[admin.await(t, `SELECT coalesce(max(pid), 0) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE ssl AND query LIKE 'INSERT INTO log%unnest%'`)] = true
	}
	if len(processes) > 2 {
		t.Errorf("%d connections for 18 appends", len(processes))
	}
	for change, says := range map[string]string{
		"localhost:127.0.0.1":                 "certificate",
		"&sslrootcert=" + root + ":":          "certificate",
		"sslmode=verify-full:sslmode=disable": "no encryption",
	} {
		was, is, _ := strings.Cut(change, ":")
		log, err := pglog.Open(t.Context(), strings.Replace(address, was, is, 1), pglog.Options{})
		if err == nil {
			_ = log.Close()
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("with %s in place of %s: %v, want %q", is, was, err, says)
		}
	}
}
