package memlog_test

import (
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/memlog"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCutAndHeal: a node that is cut off does not reach the log, the other one does.
func TestCutAndHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(2)
		nodes := map[string]*storage.Standby{}
		for _, name := range []string{"a", "b"} {
			st, err := storage.Join(t.Context(), t.TempDir(), storage.Options{Log: log, NoSync: true, Node: storage.Node{Name: name, TTL: time.Second}})
			if err != nil {
				t.Fatal(err)
			}
			nodes[name] = st
		}
		log.Cut("a")
		if _, err := nodes["a"].Standing(t.Context()); err == nil {
			t.Error("a reaches the log")
		}
		if _, err := nodes["b"].Standing(t.Context()); err != nil {
			t.Error(err)
		}
		log.Heal()
		for name, st := range nodes {
			if err := st.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
