package kill_test

import (
	"path/filepath"
	"testing"
	"time"

	"carillon/internal/pgtest"
	"carillon/internal/proof"
	"carillon/storage/postgres"
)

// G1, G2, G3, G4, G5, G8, G9, G11, G19, G43, G44: TestG1_KillLoop with the log in PostgreSQL. Two nodes serve in
// turn: while one is killed under load, the other one stands by and takes over, or is killed while it does, and the
// next begins with a cache that is behind.
func TestG1_KillLoopOnPostgreSQL(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a real server again and again")
	}
	tally := proof.NewTally(t, "kill -9 loop, PostgreSQL")
	server := pgtest.New(t)
	address := server.Address(t)
	log := postgres.Log(address)
	if _, err := log.Migrate(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	caches := t.TempDir()
	l := newKillLoop(t, tally)
	l.observer = newJournal(t)
	l.died = func(life int) { // its lease has ended: the test does not wait for that
		server.SQL(t, "UPDATE carillon.node SET beat = beat - ttl, ttl = '1 ms' WHERE retired IS NULL AND name = '"+killNode(life)+"'")
	}
	l.command = l.serve(func(life int) string { return filepath.Join(caches, killNode(life)) }, killStore+"="+address)
	l.run(proof.Pick(1, 4, 60), proof.For(time.Hour, time.Hour, 24*time.Hour))
	if faults, err := log.Verify(t.Context()); err != nil || len(faults) > 0 {
		tally.Other("the log is not sound: %q, %v", faults, err)
	}
}
