package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"carillon/dispatch"
)

// defaultListen is loopback only, because the sample app does not ask callers who they are.
const defaultListen = "127.0.0.1:8377"

// resultLimit lets jobs:list answer with as many rows as it may have.
const resultLimit = 16 << 20

// demoDir is where the sample app keeps its data, apart from any other program's.
const demoDir = "./carillon-demo"

// demo serves the sample app to try it: on a loopback address its operators are all clients
// of this machine.
func demo(flags *flag.FlagSet) func(context.Context, stdio) error {
	s := serverFlags(flags, demoDir)
	s.autoCreate = true
	token := tokenFlag(flags, "admin-token", "`TOKEN` that operators need, beside those of carillon tokens")
	return func(ctx context.Context, std stdio) (err error) {
		if s.token, err = token(); err != nil {
			return err
		}
		return s.run(ctx, std, func(addr net.Addr) (bool, error) { return s.token == "" && isLoopback(addr), nil })
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
func greet(w io.Writer, scheme string, addr net.Addr, dir string, autoCreate bool) {
	host := addr.String()
	public := false
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		public = true
		if tcp.IP.IsUnspecified() {
			host = net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
		}
	}
	site := scheme + "://" + host
	fmt.Fprintf(w, "carillon serves the sample app on %s, data in %s\n", site, dir)
	if public {
		fmt.Fprintf(w, "Whoever can reach %s can call it: the sample app asks nobody who they are.\n", addr)
	}
	create := ""
	if !autoCreate {
		create = fmt.Sprintf("\n  carillon apps create demo --server %s", site)
	}
	fmt.Fprintf(w, `
Try this in a second terminal; Ctrl-C here stops, and nothing is lost.
%s
  call() { curl -sS %s/v1/apps/demo/functions/$1 -H 'Content-Type: application/json' -d "$2"; }
  call reminders:set '{"text":"tea is ready","afterMs":5000}'
  call jobs:list '{"state":"pending"}'
  call orders:place '{"sku":"teapot"}'
  call counters:later '{"key":"chimes","n":3,"afterMs":2000}'
  sleep 6; call reminders:list '{}'; call counters:get '{"key":"chimes"}'
  call heartbeat:list '{}'

`, create, site)
}
