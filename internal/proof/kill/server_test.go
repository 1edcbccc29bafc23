package kill_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	sampleapp "carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
	"carillon/storage/postgres"
)

// Environment of the process that TestKillServer becomes.
const (
	killDir      = "CARILLON_PROOF_KILL_DIR"      // its data
	killObserver = "CARILLON_PROOF_KILL_OBSERVER" // URL that its actions report to
	killLifeNo   = "CARILLON_PROOF_KILL_LIFE"     // which life of the server it is
	killStore    = "CARILLON_PROOF_KILL_STORE"    // where in PostgreSQL its log is, if it has one: the directory is a cache then
)

// killAct is the argument of an action that reports to the observer.
type killAct struct {
	Key   string
	Ms    int // how long it takes
	Fails int // so many attempts of it fail
	Stuck int // so many do not look at their context, and return long after they were given up

	Lane     string    // POOL or POOL/KEY
	NotAfter time.Time // set by what schedules it
}

// A stuck attempt is given up after killDeadline and killGrace, and returns after killStuck.
const (
	killDeadline = 150 * time.Millisecond
	killGrace    = 50 * time.Millisecond
	killStuck    = 400 * time.Millisecond
)

// killLater schedules a killAct.
type killLater struct {
	killAct
	AfterMs int
	Once    bool          // at most once
	ID      storage.JobID // chosen, if not empty
	LastMs  int           // not after so long behind AfterMs; 0: whenever
}

// after is how long after now it is due.
func (l *killLater) after() time.Duration { return time.Duration(l.AfterMs) * time.Millisecond }

// killReport is what the observer is told when an attempt begins, and when it ends.
type killReport struct {
	Life         int
	Key          string
	Job          string // its idempotency key: ids are an app's own
	Attempt      int
	ScheduledFor time.Time
	Ended        bool
	Failed       bool
	Stuck        bool // it does not return before it is given up
	Lane         string
	Now          time.Time // ctx.Now
	NotAfter     time.Time
}

var (
	killActLater = dispatch.Mutation[killLater, storage.JobID]("observer:later")
	killActRun   = dispatch.InternalAction[killAct, dispatch.None]("observer:act")
)

// killRetry is how often actions are tried, and how soon.
var killRetry = dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 11, Base: 20 * time.Millisecond})

// killFunctions are the sample app's functions and an action that the outside
// world is told of.
func killFunctions(observer string, life int) *dispatch.Registry {
	reg := sampleapp.Functions()
	handleChains(reg)
	handleGroups(reg)
	handleRevisions(reg)
	handlePages(reg, observer, life)
	handleAsks(reg, observer, life)
	handleLoad(reg)
	killActLater.Handle(reg, func(ctx *dispatch.MutationCtx, args killLater) (storage.JobID, error) {
		opts := []dispatch.RunOption{killRetry}
		if args.Once {
			opts[0] = dispatch.AtMostOnce()
		}
		if args.ID != "" {
			opts = append(opts, dispatch.ID(args.ID))
		}
		if args.Stuck > 0 {
			opts = append(opts, dispatch.Timeout(killDeadline))
		}
		if args.Lane != "" {
			if !args.Once {
				opts[0] = dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 11, Base: 200 * time.Millisecond}) // others come meanwhile
			}
			opts = append(opts, inKillLane(args.Lane))
		}
		if args.LastMs > 0 {
			due := ctx.Now.Add(args.after())
			args.NotAfter = due.Add(time.Duration(args.LastMs) * time.Millisecond)
			return ctx.Scheduler.RunAt(due, killActRun.With(args.killAct), append(opts, dispatch.NotAfter(args.NotAfter))...)
		}
		return ctx.Scheduler.RunAfter(args.after(), killActRun.With(args.killAct), opts...)
	})
	killActRun.Handle(reg, func(ctx *dispatch.ActionCtx, args killAct) (dispatch.None, error) {
		report := killReport{
			Life: life, Key: args.Key, Job: ctx.Job.IdempotencyKey(), Attempt: ctx.Job.Attempt, ScheduledFor: ctx.Job.ScheduledFor,
			Failed: ctx.Job.Attempt <= args.Fails, Stuck: ctx.Job.Attempt <= args.Stuck,
			Lane: args.Lane, Now: ctx.Now, NotAfter: args.NotAfter,
		}
		if err := report.send(observer); err != nil {
			return dispatch.None{}, err
		}
		takes, over := time.Duration(args.Ms)*time.Millisecond, ctx.Done()
		if report.Stuck {
			takes, over = killStuck, nil
		}
		work := time.NewTimer(takes)
		defer work.Stop()
		select {
		case <-work.C:
		case <-over:
			report.Failed = true
		}
		report.Ended = true
		err := report.send(observer)
		if err == nil && report.Failed {
			err = dispatch.Errorf(dispatch.CodeUnavailable, "attempt %d fails", report.Attempt)
		}
		return dispatch.None{}, err
	})
	return reg
}

// send tells the observer and waits until it has taken note, whatever has become
// of the action meanwhile.
func (r killReport) send(observer string) error { return tellObserver(observer, r) }

// tellObserver tells the observer something at one of its addresses.
func tellObserver(url string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// TestKillServer is not a test but a server that TestG1_KillLoop and TestG39_Load kill: the
// sample app with actions that have an observer, served as the command serves it.
// With killStore it serves once it owns the log. It ends when whoever has started it is gone.
func TestKillServer(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("it is run by TestG1_KillLoop")
	}
	life, err := strconv.Atoi(os.Getenv(killLifeNo))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is closed
	}()
	eng, err := openKilled(ctx, dir, killOptions(os.Getenv(killObserver), life, logger), life)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", ln.Addr())
	if eng.Shared() {
		go func() {
			defer stop()
			<-eng.Lost()
		}()
	}
	mux := http.NewServeMux()
	mux.HandleFunc(killWhole, wholeHandler(eng))
	mux.HandleFunc(killCheck, checkHandler(eng))
	mux.HandleFunc(killPause, pauseHandler(eng))
	mux.HandleFunc(killWait, waitHandler(eng))
	mux.HandleFunc(killAnswer, answerHandler(eng))
	mux.HandleFunc(killWatch, watchHandler(eng))
	mux.HandleFunc(loadHeap, heapHandler)
	mux.Handle("/", server.New(eng, server.Options{Admin: func(*http.Request) error { return nil }, Logger: logger}))
	err = server.Serve(ctx, ln, mux, time.Second, logger)
	if closed := eng.Close(context.Background()); err != nil || closed != nil {
		t.Errorf("%v, %v", err, closed)
	}
}

// killTTL is that of the leases of servers whose log is in PostgreSQL: no machine is so busy that one ends by itself.
const killTTL = time.Minute

// saidStandsBy is what a server prints that follows the log, and waits until it owns it.
const saidStandsBy = "stands by"

// killNode is which node a life is: two take turns.
func killNode(life int) string { return fmt.Sprint("node", life%2) }

// openKilled opens the engine on the directory or, with killStore, on the log, whose owner it waits to be.
func openKilled(ctx context.Context, dir string, opts actors.Options, life int) (*actors.Engine, error) {
	store := os.Getenv(killStore)
	if store == "" {
		return actors.Open(dir, opts)
	}
	opts.Log, opts.Node = postgres.Log(store), storage.Node{Name: killNode(life), TTL: killTTL}
	node, err := actors.Join(ctx, dir, opts)
	if err != nil {
		return nil, err
	}
	fmt.Println(saidStandsBy)
	return node.Engine(ctx)
}

// killOptions are those of the engine that TestKillServer serves.
func killOptions(observer string, life int, logger *slog.Logger) actors.Options {
	return actors.Options{
		Functions: killFunctions(observer, life), Pools: append(sampleapp.Pools(), killPools...), Crons: sampleapp.Crons(), Logger: logger,
		Tables:           append(sampleapp.Tables(), killTolds, killGroupsMade, killGroupsTold, killRevisions),
		Grace:            killGrace,
		MaxWatched:       1_000_000,
		MaxInterruptions: 1000, // none of its jobs is a poison, however often it is killed
	}
}

// killLife is a server from its start to its kill.
type killLife struct {
	number  int
	cmd     *exec.Cmd
	said    killTail
	stands  chan struct{} // closed when it stands by, if it does
	serving chan struct{} // closed once url is set
	url     string
	gone    chan struct{} // closed when the process has ended
}

var killAddress = regexp.MustCompile(`http://[0-9.]+:[0-9]+`)

// mustStart starts the process. It does not wait until it serves.
func mustStart(t *testing.T, number int, cmd *exec.Cmd) *killLife {
	t.Helper()
	l := &killLife{number: number, cmd: cmd, stands: make(chan struct{}), serving: make(chan struct{}), gone: make(chan struct{})}
	cmd.Env = append(cmd.Environ(), killLifeNo+"="+strconv.Itoa(number), "GORACE=halt_on_error=1")
	cmd.Stderr = &l.said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // it is closed when the test is gone
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.gone)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if lines.Text() == saidStandsBy {
				close(l.stands)
			}
			if url := killAddress.FindString(lines.Text()); url != "" && l.url == "" {
				l.url = url
				close(l.serving)
			}
		}
		_ = cmd.Wait() // it was killed
	}()
	t.Cleanup(l.kill)
	return l
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (l *killLife) kill() {
	_ = l.cmd.Process.Kill()
	<-l.gone
}

// over says whether the process has ended.
func (l *killLife) over() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// killTail keeps the last of what a process writes.
type killTail struct {
	mu   sync.Mutex
	last []byte
}

// Write implements io.Writer.
func (k *killTail) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = append(k.last, p...)
	if n := len(k.last) - 8<<10; n > 0 {
		k.last = k.last[n:]
	}
	return len(p), nil
}

// String returns it.
func (k *killTail) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return string(k.last)
}
