package cmd

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"carillon/dispatch"
)

// healthcheck asks whether requests should be sent to a server: the exit code says it, too.
func healthcheck(flags *flag.FlagSet) func(context.Context, Stdio) error {
	site := flags.String("server", "http://"+defaultListen, "`ADDRESS` of the server, host:port or URL")
	timeout := flags.Duration("timeout", 3*time.Second, "`TIME` that the server has to answer")
	return func(ctx context.Context, std Stdio) error {
		at, err := openSite(*site, func() (string, error) { return "", nil }, false)
		if err != nil {
			return err
		}
		defer at.close()
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		ready, is, err := at.Ready(ctx)
		if err != nil {
			return at.told(err)
		}
		text := strings.Join(append([]string{string(is.Status)}, is.Reasons...), "; ")
		if !ready {
			return dispatch.Errorf(dispatch.CodeUnavailable, "%s", text)
		}
		fmt.Fprintln(std.Out, text)
		return nil
	}
}
