package workload

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

const (
	// shardDocs is how many documents each shard has in W11, a key each.
	shardDocs = 10_000
	// fillDocs is how many of them one call makes, at most.
	fillDocs = 1_000
	// followWait is how long a node follows an owner before that one dies.
	followWait = 2 * time.Second
	// phases is how many takeovers there are of a node that follows, of which the slowest counts: it looks each
	// twentieth of a lease, and so sooner or later after its end. phase is what later ones are later by.
	phases = 3
	phase  = 250 * time.Millisecond / phases
)

// takeover is W11: an app in each shard, and an owner that dies without a word. The node that takes over has followed
// it, or, cold, begins with an empty directory when the lease of the dead one has ended.
func takeover(ctx context.Context, r *Harness) error {
	if r.System.logs == nil {
		return fmt.Errorf("%s has no nodes", r.System.Name)
	}
	return r.within(func(dir string) error {
		apps, docs := shardApps(r.System.logs.shards), r.scaled(shardDocs)
		if err := r.fillShards(ctx, dir, apps, docs); err != nil {
			return err
		}
		emit := func(name string, t *taking) {
			row := Row{Workload: name + "-first", Apps: len(apps), Jobs: docs * len(apps), Seconds: t.first.Seconds(), wroteFor: -1}
			r.emit(row)
			row.Workload, row.Seconds = name, t.last.Seconds()
			r.emit(row)
		}
		slowest := &taking{}
		for i := range phases {
			t := &taking{r: r, dir: dir, apps: apps, nodes: fmt.Sprintf("warm%d", i), after: time.Duration(i) * phase}
			if err := t.run(ctx); err != nil {
				return err
			}
			if t.last > slowest.last {
				slowest = t
			}
		}
		emit(r.name, slowest)
		t := &taking{r: r, dir: dir, apps: apps, nodes: "cold", cold: true}
		if err := t.run(ctx); err != nil {
			return err
		}
		emit(r.name+"-cold", t)
		return nil
	})
}

// shardApps are the names of apps, one in each shard.
func shardApps(shards int) []storage.AppID {
	apps := make([]storage.AppID, shards)
	for i, left := 0, shards; left > 0; i++ {
		name := fmt.Sprintf("app-%05d", i)
		h := fnv.New32a()
		_, _ = h.Write([]byte(name)) // it does not fail
		if at := &apps[h.Sum32()%uint32(shards)]; *at == "" {
			*at = storage.AppID(name)
			left--
		}
	}
	return apps
}

// fillShards makes the documents, and leaves the log without an owner.
func (r *Harness) fillShards(ctx context.Context, dir string, apps []storage.AppID, docs int) error {
	r.Meter.begin(r.name+" store", docs*len(apps))
	return using(r, func() (*engine, error) { return r.System.engine(ctx, dir, Work{}, actors.Options{}) }, func(e *engine) error {
		_, err := r.callers(ctx, fillCallers, len(apps), func(ctx context.Context, i int) error {
			app, err := e.App(apps[i])
			for left := docs; err == nil && left > 0; left -= fillDocs {
				n := min(left, fillDocs)
				_, err = fill.Run(app.As(ctx, nil), n)
				r.Meter.add(n)
			}
			return err
		})
		return err
	})
}

// fillCallers is how many apps are filled at once.
const fillCallers = 8

// taking is one takeover.
type taking struct {
	r     *Harness
	dir   string // in which the nodes have theirs
	apps  []storage.AppID
	nodes string        // begins their names
	after time.Duration // how long after the owner has begun the next one joins
	cold  bool

	first, last time.Duration // from the end of the lease until one app has taken a call, and all have
}

func (t *taking) run(ctx context.Context) (err error) {
	log := t.r.System.logs.of(t.dir)
	t.r.Meter.begin(t.r.name+" take over", len(t.apps))
	name := t.nodes + "-owner"
	owner, err := storage.Join(ctx, filepath.Join(t.dir, name), storage.Options{
		Log: log, Node: storage.Node{Name: name}, Logger: quiet(), CheckTrigger: dispatch.CheckStored,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, owner.Abort()) }()
	if _, err := owner.Own(ctx); err != nil {
		return err
	}
	var node *actors.Node
	defer func() {
		if node != nil {
			err = errors.Join(err, node.Close())
		}
	}()
	if !t.cold {
		if err := pause(ctx, t.after); err != nil {
			return err
		}
		if node, err = t.join(ctx); err != nil {
			return err
		}
		if err := pause(ctx, followWait); err != nil {
			return err
		}
	}
	if err := owner.Abort(); err != nil {
		return err
	}
	ended, err := leaseEnd(ctx, log, name)
	if err != nil {
		return err
	}
	if t.cold {
		if err := pause(ctx, time.Until(ended)); err != nil {
			return err
		}
		if node, err = t.join(ctx); err != nil {
			return err
		}
	}
	eng, err := node.Engine(ctx)
	if err != nil {
		return err
	}
	err = t.answers(ctx, eng, ended)
	return errors.Join(err, (&engine{Engine: eng}).Close())
}

// join has the next owner join.
func (t *taking) join(ctx context.Context) (*actors.Node, error) {
	opts := actors.Options{Functions: functions(func(time.Time) {}), Logger: quiet()}
	opts.Pools = []*dispatch.Pool{pool64, pool1}
	name := t.nodes + "-next"
	if err := t.r.System.logs.node(ctx, t.dir, name, &opts); err != nil {
		return nil, err
	}
	return actors.Join(ctx, filepath.Join(t.dir, name), opts)
}

// leaseEnd is when the lease of a node that is dead ends, as its log sees it.
func leaseEnd(ctx context.Context, log storage.SharedLog, name string) (end time.Time, err error) {
	is, err := storage.StandingOf(ctx, log)
	now := time.Now()
	for i := range is.Nodes {
		if n := &is.Nodes[i]; n.Name == name {
			return now.Add(n.TTL - n.Silent), err
		}
	}
	return end, errors.Join(err, fmt.Errorf("the log does not know node %s", name))
}

// answers calls a mutation of all apps at once.
func (t *taking) answers(ctx context.Context, eng *actors.Engine, ended time.Time) error {
	took, errs := make([]time.Duration, len(t.apps)), make([]error, len(t.apps))
	var calls sync.WaitGroup
	for i, id := range t.apps {
		calls.Go(func() {
			app, err := eng.App(id)
			if err == nil {
				_, err = fill.Run(app.As(ctx, nil), 1)
			}
			took[i], errs[i] = time.Since(ended), err
			t.r.Meter.add(1)
		})
	}
	calls.Wait()
	t.first, t.last = took[0], took[0]
	for _, d := range took {
		t.first, t.last = min(t.first, d), max(t.last, d)
	}
	return errors.Join(errs...)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
