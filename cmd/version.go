package cmd

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version prints what the binary was built from.
func (p *program) version(*flag.FlagSet) func(context.Context, Stdio) error {
	return func(_ context.Context, std Stdio) error {
		release, commit := "devel", ""
		if info, ok := debug.ReadBuildInfo(); ok {
			if v := info.Main.Version; v != "" && v != "(devel)" {
				release = v
			}
			for _, s := range info.Settings {
				if s.Key == "vcs.revision" {
					commit = " commit " + s.Value[:min(12, len(s.Value))]
				}
			}
		}
		fmt.Fprintf(std.Out, "%s %s%s %s %s/%s\n", p.Name, release, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	}
}
