package cmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/metrics"
	"carillon/storage"
)

// nodeFlags are the flags of serve that have a server be a node of a cluster.
type nodeFlags struct {
	log, name, cache, advertise string
	lease                       time.Duration
}

func (n *nodeFlags) flags(flags *flag.FlagSet) {
	flags.StringVar(&n.log, "store", "", "`ADDRESS` of a log that nodes share, postgres://…, in the place of --data: this is one of them, and serves while it owns the store")
	flags.StringVar(&n.name, "node", "", "`NAME` of this node, with --store, which no other has: A-Z a-z 0-9 _ - .")
	flags.StringVar(&n.cache, "cache", "./cache", "`DIR` where the node keeps its copy of the store, with --store; what is in it can be made again")
	flags.StringVar(&n.advertise, "advertise", "", "`URL` where clients find this node, with --store; that of --listen unless given, if it names a host")
	flags.DurationVar(&n.lease, "lease", 5*time.Second, "`TIME`, 1s to 1m, without a sign of life after which another node takes over, with --store")
}

// check says what is wrong with the flags.
func (n *nodeFlags) check() error {
	if n.log == "" { // then none of the others is given: companions
		return nil
	}
	if n.name == "" {
		return usageError{errors.New("--store needs --node, the name of this one")}
	}
	if n.advertise != "" {
		if u, err := url.Parse(n.advertise); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usageError{fmt.Errorf("--advertise is %q, want a URL such as http://10.0.0.5:8377", n.advertise)}
		} else if u.User != nil || u.RawQuery != "" || u.Fragment != "" { // all who are refused are told it
			return usageError{errors.New("--advertise is told to all who reach a standby: no name, password, query or fragment belongs in it")}
		}
	}
	return nil
}

// nodeRelease is the release that other nodes are told, with no more of it than a storage.Node may have.
func nodeRelease() string {
	of := builtFrom()
	return of[:min(64, len(of))]
}

// address is where clients find the node.
func (r *running) address() string {
	tcp, ok := r.addr.(*net.TCPAddr)
	if r.node.advertise != "" || !ok || tcp.IP.IsUnspecified() {
		return r.node.advertise
	}
	return r.site + "://" + r.addr.String()
}

// asNode serves while this node owns the store, and stands by else, until ctx ends: then it leaves, so that another
// one takes over at once.
func (r *running) asNode(ctx context.Context, engine actors.Options) (err error) {
	engine.Log = r.Log(r.node.log)
	engine.Node = storage.Node{Name: r.node.name, Address: r.address(), Release: nodeRelease(), TTL: r.node.lease}
	r.logger.Info("joining the log", "node", r.node.name, "cache", r.node.cache, "metrics", r.metricsAt, "listen", r.addr.String())
	node, err := actors.Join(ctx, r.node.cache, engine)
	if err != nil {
		return errors.Join(r.toldToStop(ctx, err), r.door.end())
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	ctx, stop := context.WithCancel(ctx)
	is := &standing{node: node, name: r.node.name}
	r.metrics.WatchNode(is.stats)
	var beside sync.WaitGroup
	beside.Go(func() { is.follow(ctx) })
	beside.Go(func() { // without its address the node is of no use
		select {
		case <-r.door.done:
			stop()
		case <-ctx.Done():
		}
	})
	defer beside.Wait()
	defer stop()
	defer r.beat(ctx, is.eng.Load).end()
	for said, greeted := false, false; ; {
		r.start.StandBy(is.owner)
		if !said {
			said = true
			fmt.Fprintf(r.std.Out, "%s stands by as node %s on %s, its copies in %s\n", r.Name, r.node.name, engine.Node.Address, r.node.cache)
			r.manager.tell("READY=1")
		}
		r.logger.Info("standing by", "node", r.node.name)
		eng, err := node.Engine(ctx)
		if ctx.Err() == nil && passes(err) {
			r.logger.Warn("this node could not take the store up", "node", r.node.name, "err", err)
			r.pause(ctx)
			continue
		}
		if err != nil {
			return errors.Join(r.toldToStop(ctx, err), r.door.end())
		}
		r.logger.Info("this node owns the store", "node", r.node.name)
		is.taken.Add(1)
		is.eng.Store(eng)
		term, over := context.WithCancel(ctx)
		r.serve(term, eng)
		if !greeted {
			err = r.greetAll(eng)
			greeted = err == nil
		}
		if passes(err) {
			r.logger.Warn("this node gives the store up that it has just taken over", "node", r.node.name, "err", err)
		} else if err != nil || !r.wait(ctx, eng.Lost()) {
			over()
			return r.handOver(ctx, eng, is, err)
		} else {
			r.logger.Error("this node has lost the store", "node", r.node.name)
		}
		r.start.StandBy(is.owner)
		over()
		is.eng.Store(nil)
		r.metrics.Watch(nil, nil) // volumes of a store that was lost are not down
		if err := closeLost(ctx, eng); err != nil {
			r.logger.Warn("the engine of the store that was lost", "err", err)
		}
	}
}

// passes says that the log was away, or the store lost, while it was taken up: it is asked for again.
func passes(err error) bool {
	return err != nil && dispatch.AsError(err).Code == dispatch.CodeUnavailable
}

// pause waits for a moment, unless ctx ends.
func (r *running) pause(ctx context.Context) {
	select {
	case <-r.after(time.Second):
	case <-ctx.Done():
	}
}

// leaveWait is how long a node that is told to stop serves on, while the log's checkpoint is brought up to date.
const leaveWait = 2 * time.Second

// handOver gives the store up to the other nodes, and then has requests under way finish, with one limit for all of it, as
// end. Requests that come meanwhile are refused as by a node that stands by.
func (r *running) handOver(ctx context.Context, eng *actors.Engine, is *standing, err error) error {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), *r.drain)
	defer cancel()
	serving, over := context.WithTimeout(limit, leaveWait)
	began := time.Now()
	eng.Leave(serving)
	over()
	left := time.Now()
	r.start.StandBy(is.owner)
	err = errors.Join(err, eng.Close(limit))
	given := time.Now()
	err = errors.Join(err, r.door.end())
	r.logger.Info("this node has given the store up", "node", r.node.name,
		"folding", left.Sub(began), "closing", given.Sub(left), "requests", time.Since(given))
	if err == nil {
		fmt.Fprintln(r.std.Out, stopped)
	}
	return err
}

// toldToStop is the error of what waited for the log, which is none if it was ctx that has ended.
func (r *running) toldToStop(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	r.manager.tell("STOPPING=1")
	return nil
}

// closeLost closes an engine that has ended by itself. That takes longer than 5 s where handlers do not return, or the
// log does not answer: the node follows the log again when it has ended.
func closeLost(ctx context.Context, eng *actors.Engine) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return eng.Close(ctx)
}

// standing is what a node knows of itself and the others, as it was a moment ago.
type standing struct {
	node  *actors.Node
	name  string
	eng   atomic.Pointer[actors.Engine] // while it owns the store
	taken atomic.Int64                  // how often it has taken the store over
	seen  atomic.Pointer[storage.Standing]
	at    atomic.Pointer[time.Time] // of seen
}

// standingApart is how often the log is asked who owns the store.
const standingApart = time.Second

// follow asks the log until ctx ends.
func (s *standing) follow(ctx context.Context) {
	ask := time.NewTicker(standingApart)
	defer ask.Stop()
	for {
		limit, cancel := context.WithTimeout(ctx, 5*standingApart)
		at := time.Now()
		if is, err := s.node.Standing(limit); err == nil { // else what was seen before will do
			s.at.Store(&at)
			s.seen.Store(&is)
		}
		cancel()
		select {
		case <-ask.C:
		case <-ctx.Done():
			return
		}
	}
}

// owner is the address of the other node that owns the store, "" if none is known.
func (s *standing) owner() string {
	is := s.seen.Load()
	if is == nil || len(is.Shards) == 0 {
		return ""
	}
	for i := range is.Nodes {
		if n := &is.Nodes[i]; n.Incarnation == is.Shards[0].Owner && !n.Retired && n.Name != s.name {
			return n.Address
		}
	}
	return ""
}

// stats is what metrics tell.
func (s *standing) stats() metrics.Node {
	eng := s.eng.Load()
	m := metrics.Node{Owner: eng != nil && eng.Held() == nil, Takeovers: s.taken.Load(), Lag: s.node.Lag(), LostTails: s.node.LostTails()}
	if is, at := s.seen.Load(), s.at.Load(); is != nil {
		var latest time.Time
		for i := range is.Shards {
			sh := &is.Shards[i]
			m.Unfolded += sh.Last - min(sh.Folded, sh.Last)
			if m.Epoch = max(m.Epoch, sh.Epoch); sh.Taken.After(latest) {
				latest, m.Why = sh.Taken, sh.Why
			}
		}
		for i := range is.Nodes {
			if n := &is.Nodes[i]; n.Name == s.name {
				if !n.Retired {
					m.Lease = max(0, n.TTL-n.Silent-time.Since(*at))
				}
				break // the latest of its name comes first
			}
		}
	}
	return m
}
