package cmd

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
)

// healthcheck asks whether requests should be sent to a server: the exit code says it, too.
func healthcheck(flags *flag.FlagSet) func(context.Context, Stdio) error {
	site := flags.String("server", "http://"+defaultListen, "`ADDRESS` of the server, host:port or URL")
	timeout := flags.Duration("timeout", 3*time.Second, "`TIME` that the server has to answer")
	return func(ctx context.Context, std Stdio) error {
		c, err := newClient(*site, func() (string, error) { return "", nil })
		if err != nil {
			return err
		}
		defer c.close()
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		req, err := c.request(ctx, http.MethodGet, "/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return c.unreachable(err)
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return c.unreachable(err)
		}
		var is api.Readiness
		if err := json.Unmarshal(data, &is); err != nil || is.Status == "" {
			return c.decode(&http.Response{StatusCode: resp.StatusCode, Body: http.NoBody}, nil)
		}
		text := strings.Join(append([]string{string(is.Status)}, is.Reasons...), "; ")
		if resp.StatusCode != http.StatusOK {
			return dispatch.Errorf(dispatch.CodeUnavailable, "%s", text)
		}
		fmt.Fprintln(std.Out, text)
		return nil
	}
}
