package cmd

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version and the commit of a binary that was made to be given away: .ci/dist has
// the linker set it, since what Go writes by itself depends on the clone it is built in.
var release string

// version prints what the binary was built from.
func (p *program) version(*flag.FlagSet) func(context.Context, Stdio) error {
	return func(_ context.Context, std Stdio) error {
		fmt.Fprintf(std.Out, "%s %s %s %s/%s\n", p.Name, builtFrom(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	}
}

// builtFrom is the version of the binary, and its commit if that is known.
func builtFrom() string {
	of, commit := "devel", ""
	if info, ok := debug.ReadBuildInfo(); release != "" {
		of = release
	} else if ok {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			of = v
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = " commit " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return of + commit
}
