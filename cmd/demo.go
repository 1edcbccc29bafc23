package cmd

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

// defaultListen is loopback only, because a program may not ask callers who they are.
const defaultListen = "127.0.0.1:8377"

// demo serves to try it: on a loopback address the operators are all clients of this
// machine. Its data is apart from that of serve.
func (p *program) demo(flags *flag.FlagSet) func(context.Context, Stdio) error {
	s := p.serverFlags(flags, "./"+p.Name+"-demo")
	s.autoCreate = true
	token := tokenFlag(flags, "admin-token", "`TOKEN` that operators need, beside those of the store")
	return func(ctx context.Context, std Stdio) (err error) {
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
func (s *serving) greet(w io.Writer, scheme string, addr net.Addr) {
	host := addr.String()
	public := false
	if tcp, ok := addr.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		public = true
		if tcp.IP.IsUnspecified() {
			host = net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
		}
	}
	site := scheme + "://" + host
	fmt.Fprintf(w, "%s serves %s on %s, data in %s\n", s.Name, s.About, site, *s.dir)
	if public && s.identify == nil {
		fmt.Fprintf(w, "Whoever can reach %s can call it: it asks no client who they are.\n", addr)
	}
	fmt.Fprintln(w, "\nTry this in a second terminal; Ctrl-C here stops, and nothing is lost.")
	if !s.autoCreate {
		fmt.Fprintf(w, "\n  %s apps create demo --server %s", s.Name, site)
	}
	if s.Try != nil {
		fmt.Fprintf(w, "\n%s\n", s.Try(site))
	} else {
		fmt.Fprintf(w, "\n  %s apps list --server %s\n\n", s.Name, site)
	}
}
