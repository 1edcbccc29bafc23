package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"carillon/internal/pgtest"
	"carillon/internal/proof"
	"carillon/storage"
	"carillon/storage/postgres"
)

// pgLogs are the logs of workers in PostgreSQL, a schema each. A worker reaches its log by a proxy.
type pgLogs struct {
	server *pgtest.Server

	mu   sync.Mutex
	most int // statements of a life
}

// schema is that of a worker's log.
func (p *pgLogs) schema(w *crashImage) string { return "worker" + filepath.Base(filepath.Dir(w.dir)) }

func (p *pgLogs) log(t *testing.T, w *crashImage) (address string, log storage.SharedLog) {
	address = p.server.Address(t) + "&schema=" + p.schema(w)
	return address, postgres.Log(address)
}

// run implements logs. What is left of the worker's lease ends with it.
func (p *pgLogs) run(t *testing.T, w *crashImage, cmd *exec.Cmd, at brokenAt) error {
	_, log := p.log(t, w)
	if _, err := log.Migrate(t.Context(), workerVolumes); err != nil {
		return err
	}
	proxy := pgtest.NewProxy(t, p.server.Socket())
	started := make(chan struct{})
	kill := func() {
		<-started
		_ = cmd.Process.Kill()
	}
	var statements atomic.Int64
	var answers atomic.Bool // the next one is that of the statement
	proxy.SetFate(func(statement string) pgtest.Fate {
		if statement == "beat" || int(statements.Add(1)) != at.statement {
			return pgtest.Pass
		}
		if at.moment == behindIt {
			answers.Store(true)
			return pgtest.Pass
		}
		if !at.cut {
			kill()
		}
		return map[moment]pgtest.Fate{beforeIt: pgtest.CutBefore, beforeItsAnswer: pgtest.CutAfter}[at.moment]
	})
	proxy.SetMessageFate(func(m pgtest.Message) pgtest.Fate {
		const ready = 'Z' // for the next statement
		switch {
		case m.ToServer || m.Type != ready || !answers.CompareAndSwap(true, false):
			return pgtest.Pass
		case at.cut:
			return pgtest.CutAfter
		}
		go kill() // while it gets the answer
		return pgtest.Pass
	})
	cmd.Env = append(cmd.Env, workerStore+"="+proxy.Address()+"&schema="+p.schema(w))
	err := cmd.Start()
	close(started)
	if err == nil {
		err = cmd.Wait()
	}
	p.mu.Lock()
	p.most = max(p.most, int(statements.Load()))
	p.mu.Unlock()
	p.server.SQL(t, "UPDATE "+p.schema(w)+".node SET beat = beat - ttl, ttl = '1 ms' WHERE retired IS NULL")
	return err
}

// place implements logs: another node takes the store over, and moves it.
func (p *pgLogs) place(t *testing.T, w *crashImage, dir string) error {
	if err := os.Remove(dir); err != nil {
		return err
	}
	_, log := p.log(t, w)
	_, err := storage.ExportStore(t.Context(), log, dir)
	return err
}

// The process of a node is killed, or its connection is cut, before, in and behind each of the statements that
// it sends to PostgreSQL: claims, takeovers, appends and folds. Another one takes over, now and then a second one
// that is killed as well, and whatever was acknowledged is there (G1, G2, G3, G4, G5, G43).
func TestG1_CrashPointsOnPostgreSQL(t *testing.T) {
	tally := proof.NewTally(t, "crash points, PostgreSQL")
	logs := &pgLogs{server: pgtest.New(t)}
	b := &breaker{t: t, root: t.TempDir(), logs: logs}
	b.tryAll(tally, []fault{{what: "unharmed", options: [][]string{nil}, breaks: []brokenAt{{}}}}, workerBudget())
	var faults []fault
	for n := range logs.most + logs.most/10 {
		at := brokenAt{statement: n + 1, moment: moment(n) % moments, cut: n/int(moments)%3 == 2}
		what := fmt.Sprintf("%s %s statement %d", map[bool]string{false: "killed", true: "cut off"}[at.cut], []string{"before", "in", "behind"}[at.moment], at.statement)
		d := fault{what: what, options: [][]string{nil}, breaks: []brokenAt{at}, bad: at.cut}
		if !at.cut && n%4 == 3 {
			again := brokenAt{statement: 1 + rand.IntN(40), moment: moment(rand.IntN(int(moments)))}
			d.what += fmt.Sprintf(", then at statement %d", again.statement)
			d.options, d.breaks = append(d.options, nil), append(d.breaks, again)
		}
		faults = append(faults, d)
	}
	all := len(faults)
	outcomes := b.tryAll(tally, sample(faults, proof.Pick(4, 40, all)), workerBudget()/2)
	logOutcomes(t, outcomes, all)
}
