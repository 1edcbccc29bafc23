package storage_test

import (
	"testing"

	"carillon/storage"
)

// TestG8_AnIDOfADroppedTransactionIsNotGivenAgain: an id that was minted in a
// transaction that was rolled back may have reached somebody. It names no other
// job, ever (S7).
func TestG8_AnIDOfADroppedTransactionIsNotGivenAgain(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	seen := map[storage.JobID]bool{}
	for i := range 6 {
		tx := app.Begin(testNow)
		id, err := tx.JobWriter().InsertJob(storage.Job{Function: "a:b", Due: testNow})
		if err != nil || seen[id] {
			t.Errorf("transaction %d mints %s, %v, which was minted before: %v", i, id, err, seen[id])
		}
		seen[id] = true
		if i%2 == 0 {
			tx.Rollback(nil)
		} else {
			mustCommit(t, tx)
		}
	}
}
