package actors

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"carillon/actors/internal/pool"
)

// system is the actor system, with what every actor of ours needs around it:
// this file and the Receive methods are all that touch the actor library.
type system struct {
	actors  *actor.ActorSystem
	workers *pool.Pool
	gate    *pool.Gate // of the apps' actors
	logger  *slog.Logger
}

func newSystem(logger *slog.Logger) *system {
	// The library prints to stderr unless it is given a logger; what it has to
	// say (dead letters while stopping) is no news to us.
	quiet := actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })
	actors := actor.NewActorSystemWithConfig(actor.Configure(quiet))
	// The library's dead-letter log would keep a goroutine alive for a second after the
	// last letter, beyond Close. It is the only listener of the stream that this replaces.
	actors.EventStream = eventstream.NewEventStream()
	narrowRegistry(actors.ProcessRegistry)
	workers := pool.New()
	return &system{actors: actors, workers: workers, gate: pool.NewGate(workers), logger: logger}
}

// registryWidth is how many of its 1,024 concurrent maps the library's registry
// of actors keeps. Each is 32 maps, and a map that ever held something keeps the
// memory: with all of them that was most of what sleeping apps cost.
const registryWidth = 16

func narrowRegistry(r *actor.ProcessRegistryValue) {
	wide := *r.LocalPIDs
	r.LocalPIDs.LocalPIDs = slices.Clone(wide.LocalPIDs[:registryWidth])
	// The library registers these two before any actor.
	for _, name := range []string{"deadletter", "eventstream"} {
		if process, ok := wide.GetBucket(name).Get(name); ok {
			r.LocalPIDs.GetBucket(name).Set(name, process)
		}
	}
}

// tell sends a message, which must not be nil, to an actor.
func (s *system) tell(to *actor.PID, message any) { s.actors.Root.Send(to, message) }

// address is where the top-level actor of that name is, or will be.
func (s *system) address(name string) *actor.PID { return actor.NewPID(s.actors.Address(), name) }

// spawn starts a top-level actor.
func (s *system) spawn(name string, producer func() actor.Actor) {
	if _, err := s.actors.Root.SpawnNamed(s.props(name, producer), name); err != nil {
		panic(fmt.Sprintf("actors: spawn %s: %v", name, err))
	}
}

// props are the properties of an actor named for the log. If it has children, they are
// started again by backoff.
func (s *system) props(name string, producer func() actor.Actor, opts ...actor.PropsOption) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &logged{producer(), s, name, nil} },
		append(opts, actor.WithDispatcher(s.workers), actor.WithSupervisor(&backoff{}))...)
}

// memberProps are those of an actor behind the gate, which has no children. There are two
// of them in each app that is awake: what they weigh counts.
func (s *system) memberProps(name string, member *pool.Member, producer func() actor.Actor) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &logged{producer(), s, name, member} }, actor.WithDispatcher(member))
}

// logged is an actor whose panics are logged with their stack before the supervisor acts.
type logged struct {
	actor.Actor
	sys    *system
	name   string
	member *pool.Member // behind the gate; nil if it is not
}

// Receive implements the actor.
func (l *logged) Receive(c actor.Context) {
	defer func() {
		if v := recover(); v != nil {
			l.sys.logger.Error("actor panicked", "actor", l.name, "message", fmt.Sprintf("%T", c.Message()), "panic", v, "stack", string(debug.Stack()))
			panic(v)
		}
	}()
	if l.member != nil {
		l.member.Step()
	}
	l.Actor.Receive(c)
}

// Bounds of the wait before what has failed is tried again: an actor is started, an
// app goes on.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// waitAfter is how long to wait after n failures in a row, one or more.
func waitAfter(n int) time.Duration { return min(minBackoff<<min(n-1, 20), maxBackoff) }

// backoff is a supervisor strategy: a failed child is started again, for ever,
// the later the more often it has failed lately. Its mailbox waits meanwhile.
// The library's own strategies give up at the eleventh panic, or never slow down.
type backoff struct {
	failures atomic.Int32
	last     atomic.Int64
}

// HandleFailure implements the actor library's supervisor strategy.
func (b *backoff) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	now := time.Now().UnixNano()
	if time.Duration(now-b.last.Swap(now)) > 2*maxBackoff {
		b.failures.Store(0)
	}
	n := b.failures.Add(1)
	if n == 1 {
		supervisor.RestartChildren(child)
		return
	}
	wait := waitAfter(int(n))
	time.AfterFunc(wait, func() { supervisor.RestartChildren(child) })
}
