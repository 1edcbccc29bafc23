package cmd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"carillon/client"
	"carillon/server/api"
)

// audit lists what operators have changed.
func audit(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := siteFlags(flags)
	r.rows = "entries"
	app := appFlag(flags, "only changes of the `APP`")
	operator := flags.String("operator", "", "only changes by the operator of that `NAME`")
	from := instantFlag(flags, "from", "only changes at or after the `INSTANT`, in RFC 3339")
	before := instantFlag(flags, "before", "only changes before the `INSTANT`, in RFC 3339")
	limit, cursor := pageFlags(flags, "changes")
	return func(ctx context.Context, std Stdio) error {
		f := client.AuditFilter{App: *app, Operator: *operator, Limit: *limit, Cursor: *cursor}
		if at := from(); at != nil {
			f.Span.From = *at
		}
		if at := before(); at != nil {
			f.Span.Before = *at
		}
		list := func(c *client.Client, ctx context.Context) (*api.AuditPage, error) {
			return client.FirstPage(c.AuditPages(ctx, f))
		}
		return askStore(ctx, r, std, reading, list, func(w io.Writer, page *api.AuditPage) {
			printTable(w, "AT OPERATOR FROM APP ACTION WHAT", func(row func(...any)) {
				for _, e := range page.Entries {
					what := strings.Join(e.IDs, " ")
					if e.Count > len(e.IDs) {
						what += fmt.Sprintf(" and %d more", e.Count-len(e.IDs))
					}
					row(e.At.Format(time.RFC3339), e.Operator, e.From, e.App, e.Action, what)
				}
			})
			sayMore(w, page.Next)
		})
	}
}
