package kill_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sampleapp "carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/server/api"
	"carillon/storage"
)

const (
	killClients = 8
	killApps    = 4 // two clients each
)

// killLoop kills a server again and again while its clients go on.
type killLoop struct {
	t       *testing.T
	tally   *proof.Tally
	command func(life int) *exec.Cmd // a new process of the server, on the same data
	// died has the next life take over from one that was killed. It is nil unless the data is a log that
	// nodes share, of which one stands by while the other one serves.
	died func(life int)

	observer *killJournal // nil: the server has no action that reports to it
	client   *http.Client
	clients  []*killClient
	mover    *killMover // with the observer only
	pauser   *killPauser
	answers  *killAnswers
	watchers killWatchers
	slots    []*killSlots

	openGroups map[string]map[storage.GroupID]bool // by app: that were open when the clients had stopped

	asked atomic.Int64 // requests under way
	acked atomic.Int64 // ops acknowledged
	ticks int

	sawStuck int // handlers that were given up and had not returned, whenever it was looked
	mu       sync.Mutex
	changed  *sync.Cond
	current  *killLife // that serves
	stop     bool
}

// G1, G2, G3, G4, G5, G8, G9, G11, G19: a server is killed at random moments
// while eight clients call it by HTTP. In the end what they were told is true:
// scheduled mutations have counted exactly once, actions have run at least once,
// or at most once, under one key and never twice at a time, nothing is lost, what
// was canceled has not run, every slot is accounted for, what was deleted is gone
// and what was imported is one instant of what was exported. Groups have one follow-up
// with the right counts, no checkpoint is lost, no end from outside either, and a watch
// has no gap and nothing twice (G32 to G34, G36). The last arguments that a job is given are those
// that it runs with (G8, G29), and a backfill runs each of its slots once (G22). The server is
// first the command itself, then the sample app with actions that have an observer.
func TestG1_KillLoop(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a real server again and again")
	}
	tally := proof.NewTally(t, "kill -9 loop")
	rounds, span := proof.Pick(1, 5, 110), proof.For(time.Hour, time.Hour, 24*time.Hour)/2
	binary := filepath.Join(t.TempDir(), "carillon")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "carillon/cmd/carillon").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, observed := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "data")
		l := newKillLoop(t, tally)
		l.command = func(int) *exec.Cmd {
			return exec.Command(binary, "demo", "--data", dir, "--listen", "127.0.0.1:0")
		}
		if observed {
			l.observer = newJournal(t)
			l.command = l.serve(func(int) string { return dir })
		}
		l.run(rounds, span)
		if out, err := exec.CommandContext(t.Context(), binary, "check", "--data", dir).CombinedOutput(); err != nil {
			tally.Other("carillon check: %v: %s", err, out)
		}
	}
}

func newKillLoop(t *testing.T, tally *proof.Tally) *killLoop {
	l := &killLoop{t: t, tally: tally, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 2 * killClients}, Timeout: killTimeout,
	}}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// serve has each life be TestKillServer, on the directory that it has.
func (l *killLoop) serve(dir func(life int) string, env ...string) func(life int) *exec.Cmd {
	return func(life int) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKillServer$", "-test.timeout", "0")
		cmd.Env = append(append(os.Environ(), env...), killDir+"="+dir(life))
		if l.observer != nil {
			cmd.Env = append(cmd.Env, killObserver+"="+l.observer.url)
		}
		return cmd
	}
}

// run does the rounds, as far as there is time for them, lets what is scheduled
// come to its end, and verifies.
func (l *killLoop) run(rounds int, span time.Duration) {
	defer l.client.CloseIdleConnections()
	number := 1
	life := l.mustServe(number)
	for n := range killApps {
		app := fmt.Sprint("demo", n)
		second := map[string]any{
			"name": "second", "spec": "* * * * * *", "catchUp": map[string]any{"mode": "all"},
			"function": "counters:bump", "args": map[string]any{"key": "second"},
		}
		if err := l.ask(life, http.MethodPost, app, "/crons", second, new(any)); err != nil {
			l.t.Fatal(err)
		}
		l.slots = append(l.slots,
			&killSlots{app, "second", time.Second, map[time.Time]api.SlotOutcome{}},
			&killSlots{app, "heartbeat", 5 * time.Second, map[time.Time]api.SlotOutcome{}})
	}
	var clients sync.WaitGroup
	for n := range killClients {
		log, err := os.Create(filepath.Join(l.t.TempDir(), fmt.Sprintf("client-%d.log", n)))
		if err != nil {
			l.t.Fatal(err)
		}
		c := &killClient{loop: l, n: n, app: fmt.Sprint("demo", n%killApps), log: log}
		l.clients = append(l.clients, c)
		clients.Go(func() {
			err := c.run()
			var refused *killRefusal
			switch {
			case errors.As(err, &refused) && refused.Code == dispatch.CodeNotFound:
				l.tally.Lost("what it was told of is not there: %v", err)
			case err != nil:
				l.tally.Other("%v", err)
			}
		})
	}
	if l.observer != nil {
		l.mover, l.pauser, l.answers = &killMover{loop: l}, &killPauser{loop: l}, &killAnswers{loop: l}
		l.watchers.start(l)
		clients.Go(func() {
			if err := l.answers.run(); err != nil {
				l.tally.Other("%v", err)
			}
		})
		clients.Go(func() {
			if err := l.pauser.run(); err != nil {
				l.tally.Other("%v", err)
			}
		})
		clients.Go(func() {
			if err := l.mover.run(); err != nil {
				l.tally.Other("%v", err)
			}
		})
	}
	for began := time.Now(); rounds > 0 && time.Since(began) < span; rounds-- {
		next, early := (*killLife)(nil), 100*time.Millisecond
		if l.died != nil {
			next, early = mustStart(l.t, number+1, l.command(number+1)), 500*time.Millisecond
			l.await(next, next.stands)
		}
		l.look(life)
		l.publish(life, false)
		l.moment()
		if life.over() {
			l.tally.Other("life %d has ended by itself: %s", life.number, &life.said)
		} else {
			l.lookForStuck(life)
		}
		l.kill(life)
		for number++; rand.IntN(4) == 0; number++ {
			// It is killed while it starts, or takes over, too.
			if next == nil {
				next = mustStart(l.t, number, l.command(number))
			}
			l.pause(rand.N(early))
			l.kill(next)
			next = nil
		}
		if next == nil {
			next = mustStart(l.t, number, l.command(number))
		}
		life = l.await(next, next.serving)
	}
	l.publish(life, true)
	clients.Wait()
	for _, s := range l.slots {
		if err := l.ask(life, http.MethodPost, s.app, "/crons/"+s.trigger+"/pause", map[string]any{}, new(any)); err != nil {
			l.t.Fatal(err)
		}
	}
	if l.pauser != nil {
		if err := errors.Join(l.pauser.settle(life), l.restGroups(life)); err != nil {
			l.t.Fatal(err)
		}
	}
	l.settle(life)
	l.look(life)
	l.returned(life)
	for _, s := range l.slots {
		s.verify(l, life)
	}
	ops := l.verify(life)
	if l.died != nil {
		if _, err := l.raw(life, http.MethodGet, killCheck, nil); err != nil {
			l.tally.Other("check: %v", err)
		}
	}
	if l.mover != nil {
		l.mover.verify(life)
		l.pauser.verify()
		l.observer.verifyLanes(l.tally)
		l.t.Log(l.mover)
	}
	l.t.Logf("%d ops, %d of them acknowledged, %d ticks, %d reports of actions, %d of attempts that returned late, %d stuck handlers seen, %d lives",
		ops, l.acked.Load(), l.ticks, l.observer.count(), l.observer.late(), l.sawStuck, number)
	life.kill()
}

// mustServe starts a life and waits until it serves.
func (l *killLoop) mustServe(number int) *killLife {
	l.t.Helper()
	life := mustStart(l.t, number, l.command(number))
	return l.await(life, life.serving)
}

// kill ends a life in the midst of what it does.
func (l *killLoop) kill(life *killLife) {
	life.kill()
	if l.died != nil {
		l.died(life.number)
	}
	l.tally.Tried(1)
}

// await waits until a life serves, or stands by.
func (l *killLoop) await(life *killLife, is <-chan struct{}) *killLife {
	l.t.Helper()
	limit := time.NewTimer(killTimeout)
	defer limit.Stop()
	select {
	case <-is:
	case <-life.gone:
		l.t.Fatalf("life %d did not start: %s", life.number, &life.said)
	case <-limit.C:
		l.t.Fatalf("life %d did not start within %v: %s", life.number, killTimeout, &life.said)
	}
	return life
}

// publish tells the clients which life serves, or that they are to stop.
func (l *killLoop) publish(life *killLife, stop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current, l.stop = life, stop
	l.changed.Broadcast()
}

// serving waits for a life of at least that number. It is nil in the end.
func (l *killLoop) serving(number int) *killLife {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.stop && (l.current == nil || l.current.number < number) {
		l.changed.Wait()
	}
	if l.stop {
		return nil
	}
	return l.current
}

// latest is the life that serves, or has served last; also in the end.
func (l *killLoop) latest() *killLife {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

func (l *killLoop) stopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop
}

// moment waits for the moment to kill: any, most of them under load.
func (l *killLoop) moment() {
	switch kind := rand.IntN(5); {
	case kind == 0:
		l.pause(time.Duration(rand.Int64N(int64(time.Second))))
	case kind == 1: // around a slot
		around := time.Duration(rand.Int64N(int64(100*time.Millisecond))) - 50*time.Millisecond
		l.pause(time.Until(time.Now().Truncate(time.Second).Add(time.Second + around)))
	case kind == 2 && l.observer != nil: // in an action
		select {
		case <-l.observer.began:
		case <-time.After(time.Second):
		}
	default: // with most of the clients waiting for an answer
		for least, polls := l.acked.Load()+10+rand.Int64N(100), 0; polls < 2000 && (l.acked.Load() < least || l.asked.Load() < killClients-2); polls++ {
			l.pause(time.Millisecond)
		}
	}
}

// pause is how long a server is let live: a real process has no virtual time.
func (l *killLoop) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.t.Context().Done():
	}
}

// stuck returns the handlers that are stuck in all apps.
func (l *killLoop) stuck(life *killLife) (list []api.StuckHandler, err error) {
	err = l.send(life, http.MethodGet, "/v1/stuck", nil, &list)
	return list, err
}

// lookForStuck counts, now and then, the handlers that are stuck: only actions that do
// not look at their context may be.
func (l *killLoop) lookForStuck(life *killLife) {
	if l.observer == nil || rand.IntN(3) > 0 {
		return
	}
	list, err := l.stuck(life)
	if err != nil {
		l.tally.Other("stuck handlers: %v", err)
	}
	l.sawStuck += len(list)
}

// returned demands that all stuck handlers have returned soon after they were to.
func (l *killLoop) returned(life *killLife) {
	for limit := time.Now().Add(10 * time.Second); ; l.pause(50 * time.Millisecond) {
		list, err := l.stuck(life)
		if err == nil && len(list) == 0 {
			return
		}
		if err != nil || time.Now().After(limit) {
			l.tally.Leaked("stuck handlers that have long returned: %+v, %v", list, err)
			return
		}
	}
}

// look has all triggers' slots looked at.
func (l *killLoop) look(life *killLife) {
	for _, s := range l.slots {
		s.look(l, life)
	}
}

// settle waits until nothing is pending or running of what the clients have
// asked for. Such jobs are listed before those that have ended.
func (l *killLoop) settle(life *killLife) {
	functions := []string{
		"counters:bump", "counters:flaky", "notifications:notifySubscribers", "payments:charge", "heartbeat:tick", "observer:act",
		"search:index", "campaign:send", "chain:first", "group:member", "group:end", "export:run", "ask:run", "chain:tell", "revised:run",
	}
	limit := time.Now().Add(2 * time.Minute)
	var apps []string
	for n := range killApps {
		apps = append(apps, fmt.Sprint("demo", n))
	}
	if l.mover != nil {
		apps = append(apps, l.mover.apps()...)
	}
	for _, app := range apps {
		for _, fn := range functions {
			if fn == "heartbeat:tick" && !strings.HasPrefix(app, "demo") {
				continue // it goes on
			}
			for {
				if l.answers != nil {
					if err := l.answers.rest(life); err != nil {
						l.t.Fatal(err)
					}
				}
				var rows []sampleapp.JobRow
				if err := l.call(life, app, "jobs:list", map[string]any{"function": fn, "limit": 1}, &rows); err != nil {
					l.t.Fatal(err)
				}
				if len(rows) == 0 || rows[0].State.Ended() {
					break
				}
				if time.Now().After(limit) {
					l.tally.Lost("app %s: jobs that have long been due have not run, such as %+v", app, rows)
					return
				}
				l.pause(20 * time.Millisecond)
			}
		}
	}
}
