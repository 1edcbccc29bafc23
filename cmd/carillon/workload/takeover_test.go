package workload

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"carillon/storage"
	"carillon/storage/memlog"
)

// memoryLogs are logs in memory by their names.
type memoryLogs struct {
	storage.SharedLog
	name string
	logs *sync.Map
}

func (m memoryLogs) Beside(name string) storage.SharedLog {
	log, _ := m.logs.LoadOrStore(name, memlog.New(4))
	return memoryLogs{log.(*memlog.Log), name, m.logs}
}

func (m memoryLogs) Remove(context.Context) error {
	m.logs.Delete(m.name)
	return nil
}

// TestSharedLog: workloads run on a log that nodes share, of which nothing is left; another node answers soon after
// the lease of a dead owner has ended, and never before.
func TestSharedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &sync.Map{}
		system, err := CarillonOn(memoryLogs{logs: logs}, 4)
		if err != nil {
			t.Fatal(err)
		}
		list, err := Select("W1a,W2,W11")
		if err != nil {
			t.Fatal(err)
		}
		harness := &Harness{System: system, Dir: t.TempDir(), Scale: 0.001}
		var seen []string
		err = harness.Run(t.Context(), list, func(row Row) {
			seen = append(seen, row.Workload)
			if strings.HasPrefix(row.Workload, "W11") && (row.Seconds < 0 || row.Seconds > 2 || row.Apps != 4 || row.Jobs != 40) {
				t.Errorf("the takeover: %+v", row)
			}
			if row.BytesWritten != nil || row.RSS != nil {
				t.Errorf("%s has what another process knows: %+v", row.Workload, row)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(seen, " "), "W1a W2 W11-first W11 W11-cold-first W11-cold"; got != want {
			t.Errorf("the rows are %s, want %s", got, want)
		}
		logs.Range(func(name, _ any) bool {
			t.Errorf("log %v is left", name)
			return true
		})
	})
}

// TestNoScratch: a log beside which none can be made is refused.
func TestNoScratch(t *testing.T) {
	if _, err := CarillonOn(memlog.New(1), 1); err != ErrNoScratch {
		t.Errorf("got %v", err)
	}
}
