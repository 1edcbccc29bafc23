package client

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"carillon/server/api"
)

// Health returns whether the server serves all apps. HealthFailing is an answer, and no error.
func (c *Client) Health(ctx context.Context) (api.HealthStatus, error) {
	told, err := c.state(ctx, v1("health"))
	return api.HealthStatus(told.Status), err
}

// Ready returns whether requests should be sent to the server, and what is wrong with it, for people. They
// should not while it starts, before it ends, and when it can serve nothing.
func (c *Client) Ready(ctx context.Context) (ready bool, is api.Readiness, err error) {
	told, err := c.state(ctx, []string{"readyz"})
	return told.served, api.Readiness{Status: api.ReadyStatus(told.Status), Reasons: told.Reasons}, err
}

// Live returns nil if the server's process answers, whatever it can do.
func (c *Client) Live(ctx context.Context) error {
	_, err := c.state(ctx, []string{"livez"})
	return err
}

// state is what the server says of itself.
type state struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"`
	served  bool     // the answer has status 200
}

// state asks for it, which is an answer with another status than 200, too.
func (c *Client) state(ctx context.Context, path []string) (told state, err error) {
	r := request{method: http.MethodGet, path: path, repeat: always}
	failed := c.repeated(ctx, r.repeat, func(ctx context.Context) *Error {
		resp, failed := c.attempt(ctx, &r, nil)
		if failed != nil {
			return failed
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, c.opts.MaxAnswer))
		if err != nil {
			return unanswered(err)
		}
		if json.Unmarshal(body, &told) != nil || told.Status == "" {
			return refusal(resp, body)
		}
		told.served = resp.StatusCode == http.StatusOK
		return nil
	})
	if failed != nil {
		return told, failed
	}
	return told, nil
}

// OpenAPI returns the OpenAPI 3.1 document of the server's routes.
func (c *Client) OpenAPI(ctx context.Context) (json.RawMessage, error) {
	return c.answer(ctx, get("openapi.json"), jsonType)
}

// Stuck returns the handlers that were given up and have not returned, of the operator's apps.
func (c *Client) Stuck(ctx context.Context) (stuck []api.StuckHandler, err error) {
	err = c.do(ctx, get("stuck"), &stuck)
	return stuck, err
}

// Stats returns what there is to do in all apps, what the server has done since its start, and the last hour of
// that. It needs an operator of all apps.
func (c *Client) Stats(ctx context.Context) (stats api.Stats, err error) {
	err = c.do(ctx, get("stats"), &stats)
	return stats, err
}

// System returns what the server runs on and with: its version, volumes, log and configuration in force. It needs
// an operator of all apps with the scope admin.
func (c *Client) System(ctx context.Context) (system api.System, err error) {
	err = c.do(ctx, get("system"), &system)
	return system, err
}

// Nodes returns the nodes that share the log of the server's store, by name, the latest start of each first. There are
// none if the store is in a data directory. It needs an operator of all apps.
func (c *Client) Nodes(ctx context.Context) (nodes []api.Node, err error) {
	err = c.do(ctx, get("nodes"), &nodes)
	return nodes, err
}

// Shards returns the shards of that log which have had an owner, by number. It needs an operator of all apps.
func (c *Client) Shards(ctx context.Context) (shards []api.Shard, err error) {
	err = c.do(ctx, get("shards"), &shards)
	return shards, err
}

// Operator returns who the token makes the client, and what that operator may do.
func (c *Client) Operator(ctx context.Context) (operator api.Operator, err error) {
	err = c.do(ctx, get("operator"), &operator)
	return operator, err
}

// Clock returns what the server knows of the wall clock.
func (c *Client) Clock(ctx context.Context) (clock api.Clock, err error) {
	err = c.do(ctx, get("clock"), &clock)
	return clock, err
}

// AcceptClock says that the wall clock is right, which ends every caution because of it.
func (c *Client) AcceptClock(ctx context.Context) (clock api.Clock, err error) {
	err = c.do(ctx, request{method: http.MethodPost, path: v1("clock", "accept"), repeat: always}, &clock)
	return clock, err
}

// Tokens returns the tokens of operators, without their secrets.
func (c *Client) Tokens(ctx context.Context) (tokens []api.Token, err error) {
	err = c.do(ctx, get("tokens"), &tokens)
	return tokens, err
}

// CreateToken makes a token, with no more scopes than its maker has. Its text, in Token, is told here and
// never again.
func (c *Client) CreateToken(ctx context.Context, token api.NewToken) (made api.Token, err error) {
	err = c.do(ctx, request{method: http.MethodPost, path: v1("tokens"), body: &token, repeat: ifNotDone}, &made)
	return made, err
}

// RevokeToken has the token be good for nothing from now on.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: v1("tokens", id), repeat: ifNotDone}, nil)
}

// AuditFilter chooses entries of the audit log.
type AuditFilter struct {
	App      string // "": all of the operator's apps, and the store
	Operator string
	Span     api.TimeRange
	Limit    int    // entries a page, 1 to 1,000; 0 is 100
	Cursor   string // where to go on; "" is the beginning
}

// Audit yields what operators have changed, the latest first, page by page.
func (c *Client) Audit(ctx context.Context, f AuditFilter) iter.Seq2[api.AuditEntry, error] {
	return rows(c.AuditPages(ctx, f), func(p *api.AuditPage) []api.AuditEntry { return p.Entries })
}

// AuditPages is Audit by pages, of which Next is the Cursor that another AuditPages goes on from.
func (c *Client) AuditPages(ctx context.Context, f AuditFilter) iter.Seq2[*api.AuditPage, error] {
	return pages(f.Cursor, func(cursor string) (*api.AuditPage, string, error) {
		r := get("audit")
		r.query = url.Values{}
		set(r.query, "app", f.App)
		set(r.query, "operator", f.Operator)
		set(r.query, "cursor", cursor)
		setInstants(r.query, map[string]time.Time{"from": f.Span.From, "before": f.Span.Before})
		setNumber(r.query, "limit", f.Limit)
		page := new(api.AuditPage)
		err := c.do(ctx, r, page)
		return page, page.Next, err
	})
}

// Backup returns the whole store as of one moment, or what has come since the backup that ended with
// since. The caller closes it. One that does not come to its end, an error of Read that is not
// io.EOF, is of no use.
func (c *Client) Backup(ctx context.Context, since string) (io.ReadCloser, error) {
	r := get("backup")
	if since != "" {
		r.query = url.Values{"since": {since}}
	}
	return c.open(ctx, r, streamType)
}

// get is a request that reads of the store.
func get(segments ...string) request {
	return request{method: http.MethodGet, path: v1(segments...), repeat: always}
}
