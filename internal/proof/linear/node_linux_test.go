package linear_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/postgres"
)

// This file is a node in a process of its own: an engine on a log in PostgreSQL, which does
// the operations that it is asked for while it owns the store.

func init() { workers["node"] = serveNode }

// The environment of a node.
const (
	nodeName  = "CARILLON_LINEAR_NODE"
	nodeStore = "CARILLON_LINEAR_STORE"
	nodeCache = "CARILLON_LINEAR_CACHE"
	nodeSkew  = "CARILLON_LINEAR_SKEW"
)

// nodeTTL is that of the nodes' leases, the shortest there is.
const nodeTTL = time.Second

// nodeRequest is an operation that a node is asked for.
type nodeRequest struct {
	App    storage.AppID `json:"app"`
	Steps  []linearStep  `json:"steps"`
	Write  bool          `json:"write"`
	Fail   bool          `json:"fail"`
	Direct bool          `json:"direct"` // with the host's scheduler, without a function
	Check  bool          `json:"check"`  // verify the store, and nothing else
}

// nodeAnswer is what it answers.
type nodeAnswer struct {
	Seen []linearSeen  `json:"seen"`
	Code dispatch.Code `json:"code"` // "" if it was done
	Text string        `json:"text"`
}

// serveNode lives until its standard input ends, or it is told to stop.
func serveNode() {
	if err := runNode(); err != nil {
		fmt.Println("ended", err)
		os.Exit(1)
	}
}

func runNode() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the test is gone
		os.Exit(2)
	}()
	skew, err := time.ParseDuration(os.Getenv(nodeSkew))
	if err != nil {
		return err
	}
	early := func(format string, args ...any) { fmt.Printf("early "+format+"\n", args...) }
	if skew != 0 {
		early = func(string, ...any) {} // the wall does not tell
	}
	opts := actors.Options{
		Functions: linearFunctions(early, func(linearRan) {}), Tables: []storage.Schema{linearTable},
		QueryTimeout: time.Minute, MutationTimeout: time.Minute,
		Log: postgres.Log(os.Getenv(nodeStore)), Node: storage.Node{Name: os.Getenv(nodeName), TTL: nodeTTL},
		Logger: slog.New(lossLog{slog.DiscardHandler}),
	}
	if skew != 0 {
		opts.Testing.Clock = func() time.Time { return time.Now().Add(skew) }
	}
	node, err := actors.Join(ctx, os.Getenv(nodeCache), opts)
	if err != nil {
		return err
	}
	var owned atomic.Pointer[actors.Engine]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req nodeRequest
		answer := nodeAnswer{Code: dispatch.CodeUnavailable, Text: "stands by"}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			answer = nodeAnswer{Code: dispatch.CodeInvalidArgument, Text: err.Error()}
		} else if eng := owned.Load(); eng != nil {
			answer = req.on(r.Context(), eng)
		}
		_ = json.NewEncoder(w).Encode(answer) // the client is gone
	})}
	go func() { _ = server.Serve(listener) }() // it ends with the process
	fmt.Println("listens", listener.Addr())
	for {
		eng, err := node.Engine(ctx)
		if err != nil && ctx.Err() == nil {
			fmt.Println("engine", err)
			time.Sleep(50 * time.Millisecond) // the log may be away
			continue
		}
		if err == nil {
			owned.Store(eng)
			fmt.Println("owns")
			select {
			case <-eng.Lost():
			case <-ctx.Done():
			}
			owned.Store(nil)
			_ = eng.Close(context.Background()) // one that is lost says so
		}
		if ctx.Err() != nil {
			return node.Close()
		}
	}
}

// lossLog is a log that tells of what the log has lost, and of nothing else.
type lossLog struct{ slog.Handler }

func (lossLog) Enabled(context.Context, slog.Level) bool { return true }
func (l lossLog) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l lossLog) WithGroup(string) slog.Handler          { return l }

func (lossLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError && strings.Contains(r.Message, "lost records") {
		fmt.Println("lost", r.Message)
	}
	return nil
}

// on does the operation.
func (req nodeRequest) on(ctx context.Context, eng *actors.Engine) (a nodeAnswer) {
	if req.Check {
		return answerOf(nil, eng.Check())
	}
	host, err := eng.App(req.App)
	switch {
	case err != nil:
		return answerOf(nil, err)
	case req.Direct:
		seen, err := linearSchedule(host.Scheduler(ctx), req.Steps[0])
		return answerOf([]linearSeen{seen}, err)
	case req.Write:
		return answerOf(linearWrite.Run(host.As(ctx, nil), linearOp{req.Steps, req.Fail}))
	}
	return answerOf(linearRead.Run(host.As(ctx, nil), req.Steps))
}

func answerOf(seen []linearSeen, err error) nodeAnswer {
	if err != nil {
		return nodeAnswer{Code: dispatch.AsError(err).Code, Text: err.Error()}
	}
	return nodeAnswer{Seen: seen}
}
