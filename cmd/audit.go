package cmd

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"carillon/storage"
)

// audit lists what operators have changed.
func audit(flags *flag.FlagSet) func(context.Context, Stdio) error {
	r := siteFlags(flags)
	r.rows = "entries"
	query := url.Values{}
	for name, usage := range map[string]string{
		"app": "only changes of the `APP`", "operator": "only changes by the operator of that `NAME`",
		"from": "only changes at or after the `INSTANT`, in RFC 3339", "before": "only changes before the `INSTANT`, in RFC 3339",
		"cursor": "`CURSOR` that the page before ended with",
	} {
		flags.Func(name, usage, func(text string) error {
			query.Set(name, text)
			return nil
		})
	}
	limit := flags.Int("n", 100, "`N` changes at most, 1 to 1000")
	return func(ctx context.Context, std Stdio) error {
		query.Set("limit", strconv.Itoa(*limit))
		return send(ctx, r, std, http.MethodGet, "/v1/audit?"+query.Encode(), nil, func(w io.Writer, page storage.AuditPage) {
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
