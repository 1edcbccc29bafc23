package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"carillon/actors"
	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/server"
)

// defaultListen is loopback only, because the sample app does not ask callers who they are.
const defaultListen = "127.0.0.1:8377"

// resultLimit lets jobs:list answer with as many rows as it may have.
const resultLimit = 16 << 20

// demoDir is where the sample app keeps its data, apart from any other program's.
const demoDir = "./carillon-demo"

// demo serves the sample app until ctx ends, and then lets requests and jobs
// under way finish.
func demo(flags *flag.FlagSet) func(context.Context, stdio) error {
	dir := flags.String("data", demoDir, "`DIR` of the sample app's data, made if there is none")
	listen := flags.String("listen", defaultListen, "`ADDR` to listen on, host:port; port 0 is any that is free")
	adminToken := tokenFlag(flags, "admin-token", "`TOKEN` that admin operations need")
	drain := flags.Duration("drain", 10*time.Second, "`TIME` that requests and jobs have to finish at the end")
	return func(ctx context.Context, std stdio) (err error) {
		if *drain < 0 {
			return usageError{fmt.Errorf("--drain is %v, want 0s or more", *drain)}
		}
		token, err := adminToken()
		if err != nil {
			return err
		}
		if err := refuseForeign(*dir); err != nil {
			return err
		}
		logger := slog.New(slog.NewTextHandler(std.err, nil))
		// The address first: if it is taken, no job may have run.
		ln, err := net.Listen("tcp", *listen)
		if err != nil {
			return err
		}
		eng, err := actors.Open(*dir, actors.Options{
			Program:    sample.Program,
			AdoptEmpty: true, // it never takes to be its own what another has left
			Functions:  sample.Functions(),
			Tables:     sample.Tables(),
			Pools:      sample.Pools(),
			Crons:      sample.Crons(),
			MaxApps:    sample.MaxApps,
			Admit:      sample.Admit(),
			Limits:     dispatch.Limits{Result: resultLimit},
			Logger:     logger,
		})
		if err != nil {
			return errors.Join(openError(*dir, err), ln.Close())
		}
		greet(std.out, ln.Addr(), *dir)
		greetAdmin(std.out, token, ln.Addr())
		handler := server.New(eng, server.Options{Admin: adminGate(token, ln.Addr()), Logger: logger})
		// One limit for requests and jobs together, from the first word of the end.
		limit, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		forget := context.AfterFunc(ctx, func() { time.AfterFunc(*drain, cancel) })
		err = server.Serve(ctx, ln, handler, *drain, logger)
		if forget() {
			time.AfterFunc(*drain, cancel) // the listener has failed
		}
		if err = errors.Join(err, eng.Close(limit)); err == nil {
			fmt.Fprintln(std.out, "stopped; what was not due yet runs after the next start")
		}
		return err
	}
}

// refuseForeign refuses a directory that has something in it and no store, not even one
// that was being made: the volumes would lie among the files of another program. What
// keeps the directory from being read keeps it from being opened, too, and is told there.
func refuseForeign(dir string) error {
	files, _ := os.ReadDir(dir)
	ours := func(f os.DirEntry) bool {
		return strings.HasPrefix(f.Name(), "volume-000.db") || f.Name() == "carillon.lock"
	}
	if len(files) == 0 || slices.ContainsFunc(files, ours) {
		return nil
	}
	return dispatch.Errorf(dispatch.CodeFailedPrecondition,
		"data directory %s has other files, such as %s, and no store: give --data one that is empty, or a new one", dir, files[0].Name())
}

// greet says where the server is and what to try.
func greet(w io.Writer, addr net.Addr, dir string) {
	host := addr.String()
	public := false
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		public = true
		if tcp.IP.IsUnspecified() {
			host = net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
		}
	}
	fmt.Fprintf(w, "carillon serves the sample app on http://%s, data in %s\n", host, dir)
	if public {
		fmt.Fprintf(w, "Whoever can reach %s can call it: the sample app asks nobody who they are.\n", addr)
	}
	fmt.Fprintf(w, `
Try this in a second terminal; Ctrl-C here stops, and nothing is lost.

  call() { curl -sS http://%s/v1/apps/demo/functions/$1 -H 'Content-Type: application/json' -d "$2"; }
  call reminders:set '{"text":"tea is ready","afterMs":5000}'
  call jobs:list '{"state":"pending"}'
  call orders:place '{"sku":"teapot"}'
  call counters:later '{"key":"chimes","n":3,"afterMs":2000}'
  sleep 6; call reminders:list '{}'; call counters:get '{"key":"chimes"}'
  call heartbeat:list '{}'

`, host)
}
