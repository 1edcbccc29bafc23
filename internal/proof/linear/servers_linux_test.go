package linear_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"carillon/internal/pgtest"
	"carillon/internal/proof"
)

// G1, G43, G44: another server takes the place of the one that has the log, under nodes that are
// whole. What it has of the log has a serial order, and all goes on behind that on both nodes: with all that
// was acknowledged if each commit had waited for it, or else up to a moment, with the loss noticed.
// An old primary that returns is given nothing.
func TestG44_AnotherServerHasTheLog(t *testing.T) {
	if proof.Pick(true, true, false) {
		t.Skip("each history makes two servers: the long form does")
	}
	tally := proof.NewTally(t, "linearizability, servers")
	linearize(t, tally, 100, proof.For(0, 0, 24*time.Hour), func(i int) *linearRun {
		kind := serverChanges[i%len(serverChanges)]
		primary := pgtest.New(t)
		r := newNodesRun(t, tally, primary)
		change := kind.prepare(r)
		begin, end := nodeFaults[rand.IntN(len(nodeFaults))], nodeFault{"the owner is told to stop", stopOwner}
		if kind.returns {
			end = nodeFault{"the old primary returns", func(r *nodesRun, owner *nodeProcess) { r.comesBack(primary, owner) }}
		}
		r.run(func(life int) nodeFault {
			return []nodeFault{begin, {kind.name, func(r *nodesRun, _ *nodeProcess) { change() }}, end}[life]
		})
		return r.linearRun
	})
}

// serverChange is how another server comes to have the log.
type serverChange struct {
	name    string
	returns bool // the primary of before
	// prepare is called before there are nodes, with the primary at work. It returns the change.
	prepare func(r *nodesRun) func()
}

var serverChanges = []serverChange{
	{"a standby that each commit waited for is promoted", true, func(r *nodesRun) func() {
		primary, standby := r.server, r.mustFollow()
		primary.SQL(r.t, "ALTER SYSTEM SET synchronous_standby_names = '*'")
		primary.SQL(r.t, "SELECT pg_reload_conf()")
		primary.Await(r.t, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
		return func() {
			if rand.IntN(2) == 0 { // else it is at work, and waits for a standby that it has no more
				primary.StopNow()
			}
			r.moveTo(standby, func() { standby.Promote(r.t) })
		}
	}},
	{"a standby that lacks the latest is promoted", true, func(r *nodesRun) func() {
		primary, standby := r.server, r.mustFollow()
		return func() {
			r.lose(func() {
				at := primary.SQL(r.t, "SELECT pg_current_wal_insert_lsn()")
				primary.Await(r.t, "SELECT count(*) = 1 FROM pg_stat_replication WHERE flush_lsn >= '"+at+"'")
				standby.SQL(r.t, "ALTER SYSTEM SET primary_conninfo = ''")
				standby.SQL(r.t, "SELECT pg_reload_conf()")
				standby.Await(r.t, "SELECT count(*) = 0 FROM pg_stat_wal_receiver WHERE status = 'streaming'")
				primary.Await(r.t, "SELECT count(*) = 0 FROM pg_stat_replication")
			}, func() {
				primary.StopNow()
				r.moveTo(standby, func() { standby.Promote(r.t) })
			})
		}
	}},
	{"a backup is recovered up to a moment before the latest", false, func(r *nodesRun) func() {
		primary := r.server
		backup := primary.Backup(r.t, "-X", "none")
		return func() {
			r.lose(func() { primary.SQL(r.t, "SELECT pg_create_restore_point('here')") }, func() {
				primary.StopNow()
				backup.Recover(r.t, primary, "here")
				r.moveTo(backup, func() {})
			})
		}
	}},
	{"a dump is restored into another server", false, func(r *nodesRun) func() {
		primary, other := r.server, pgtest.New(r.t)
		return func() {
			var dump string
			r.lose(func() { dump = primary.Dump(r.t, r.schema) }, func() {
				for _, n := range r.nodes { // another system is refused by a node that has seen one
					n.kill()
				}
				primary.StopNow()
				other.Restore(r.t, dump)
				r.moveTo(other, func() {})
				for _, n := range r.nodes {
					n.mustStart()
				}
				r.noticed.Add(1) // a node that begins has only copies that are of no use
			})
		}
	}},
}

func stopOwner(_ *nodesRun, owner *nodeProcess) {
	owner.stop()
	owner.mustStart()
}

// mustFollow starts a standby of the server, and waits until it follows.
func (r *nodesRun) mustFollow() *pgtest.Server {
	standby := r.server.Standby(r.t)
	r.server.Await(r.t, "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")
	return standby
}

// moveTo has all nodes find another server where the one of before was; ready is called when they do.
func (r *nodesRun) moveTo(server *pgtest.Server, ready func()) {
	r.server = server
	for _, n := range r.nodes {
		n.proxy.SetServer(server.Socket())
		n.proxy.CutAll()
	}
	ready()
}

// comesBack has the owner find the primary of before in the place of the server, for longer than its lease.
func (r *nodesRun) comesBack(old *pgtest.Server, owner *nodeProcess) {
	old.StopNow()
	old.Start(r.t)
	old.SQL(r.t, "ALTER SYSTEM RESET synchronous_standby_names")
	old.SQL(r.t, "SELECT pg_reload_conf()") // it would acknowledge what it is given
	owner.proxy.SetServer(old.Socket())
	owner.proxy.CutAll()
	time.Sleep(2 * nodeTTL)
	owner.proxy.SetServer(r.server.Socket())
	owner.proxy.CutAll()
}

// lose has what is acknowledged behind moment be lost, when change is called. Nodes have to notice.
func (r *nodesRun) lose(moment, change func()) {
	from := r.now() // what was acknowledged before is there at the moment
	r.loss.begin(from)
	moment()
	r.force()
	before := r.noticed.Load()
	change()
	r.force()
	for began := time.Now(); r.noticed.Load() == before; r.pause() {
		if time.Since(began) > linearStall {
			r.tally.Other("no node has noticed that the log has lost records")
			break
		}
	}
	r.loss.end(r.now())
}

// force has each app be written to, whatever it has.
func (r *nodesRun) force() {
	for _, app := range r.apps {
		req := nodeRequest{App: app.id, Write: true, Steps: []linearStep{{Do: "add", Value: 1}}}
		for began := time.Now(); !r.do(app, linearClients, req); r.pause() {
			if time.Since(began) > linearStall {
				r.tally.Other("app %s is not written to", app.id)
				return
			}
		}
	}
}

// lossWindow is the time in which what is acknowledged may be lost: it has happened, or has not,
// and reads that have seen it say nothing. Clients do little then, since the checker has to try
// every order of it.
type lossWindow struct {
	lasts    atomic.Bool
	left     atomic.Int64 // of what clients may do meanwhile
	from, to int64
	over     sync.WaitGroup
}

// lossMost is how many operations of clients a window has.
const lossMost = 16

func (w *lossWindow) begin(from int64) {
	w.from = from
	w.over.Add(1)
	w.left.Store(lossMost)
	w.lasts.Store(true)
}

func (w *lossWindow) end(to int64) {
	w.to = to
	w.lasts.Store(false)
	w.over.Done()
}

// wait has a client wait for the end of the window, unless it may do something in it.
func (w *lossWindow) wait() {
	if w.lasts.Load() && w.left.Add(-1) < 0 {
		w.over.Wait()
	}
}

// forget has all that was acknowledged in the window be unknown. Nothing is under way.
func (w *lossWindow) forget(apps []*linearApp) {
	if w.to == 0 {
		return
	}
	for _, app := range apps {
		var kept []porcupine.Operation
		for _, op := range app.history {
			if op.Return >= w.from && op.Call <= w.to {
				op.Output = linearAnswer{Unknown: true}
				if !slices.ContainsFunc(op.Input.([]linearStep), linearStep.writes) {
					continue
				}
			}
			kept = append(kept, op)
		}
		app.history = kept
	}
	w.to = 0
}

// writes says whether the step may change something.
func (do linearStep) writes() bool {
	return slices.Contains([]string{"put", "add", "schedule", "cancel"}, do.Do)
}
