package server_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// identityEngine has who:ami, which counts its runs, notes:post, which it reads, and slow:wait, which runs until
// it is told to stop.
func identityEngine(runs *atomic.Int32) actors.Options {
	reg, notes := dispatch.NewRegistry(), storage.NewTable[note]("notes")
	dispatch.Mutation[note, dispatch.None]("notes:post").Handle(reg, func(ctx *dispatch.MutationCtx, n note) (dispatch.None, error) {
		_, err := notes.Insert(ctx.DB, n)
		return dispatch.None{}, err
	})
	dispatch.Query[dispatch.None, string]("who:ami").Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (string, error) {
		runs.Add(1)
		if _, err := notes.Query(ctx.DB).Count(); err != nil {
			return "", err
		}
		id, err := ctx.Auth.Require()
		return id.Subject, err
	})
	dispatch.Action[dispatch.None, dispatch.None]("slow:wait").Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (dispatch.None, error) {
		<-ctx.Done()
		return dispatch.None{}, context.Cause(ctx)
	})
	return actors.Options{Functions: reg}
}

// TestG40_ACredentialEndsByItself: at the end of a client's credential, and when the host says that it is
// another's or good no more, its queries stop though nothing is written, and begin anew with what is good.
func TestG40_ACredentialEndsByItself(t *testing.T) {
	var runs atomic.Int32
	actorstest.Run(t, identityEngine(&runs), func(h *actorstest.Harness) {
		var is atomic.Pointer[dispatch.Identity] // nil: the credential is not good
		var asked atomic.Int32
		var connections server.Connections
		client := h.Peer(server.New(h.Engine, server.Options{Connections: &connections, Identify: func(*http.Request) (*dispatch.Identity, error) {
			if asked.Add(1) == 200 {
				panic("the host is asked without end, which stops the time of the bubble")
			}
			id := is.Load()
			if id == nil || !id.ExpiresAt.IsZero() && !time.Now().Before(id.ExpiresAt) {
				return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "not good")
			}
			return id, nil
		}}))
		app, err := h.Engine.App("acme")
		if err != nil {
			t.Fatal(err)
		}
		refused := func(c *syncClient, at time.Time) {
			t.Helper()
			if got := c.next(); !strings.HasPrefix(got, `{"type":"AuthError","error":"not good"`) || !strings.HasSuffix(got, `"authUpdateAttempted":false}`) {
				t.Errorf("it is told %s", got)
			}
			if got := h.Now(); !got.Equal(at) {
				t.Errorf("it is told %v after %v", got.Sub(at), at)
			}
			before := runs.Load()
			if _, err := app.Call(h.Context(), "notes:post", []byte(`{"text":"hi"}`), nil); err != nil {
				t.Fatal(err)
			}
			h.Settle()
			if got := runs.Load(); got != before {
				t.Errorf("the query has run %d times with no client to tell", got-before)
			}
		}
		authenticate := func(c *syncClient, want string) {
			t.Helper()
			c.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"x"}`)
			if got := c.until(`"value":"` + want + `"`); strings.Contains(got, "AuthError") {
				t.Errorf("it is told %s", got)
			}
		}
		is.Store(&dispatch.Identity{Subject: "ann"})
		c := mustDialBy(h.TB(), client, "ws://peer/v1/apps/acme/api/1.49.0/sync", "a", nil)
		c.wait = 2 * time.Minute
		c.query(1, "0", "who:ami")
		c.until(`"value":"ann"`)

		// A credential with an end, soon and later than anything else happens.
		for _, in := range []time.Duration{5 * time.Second, 47 * time.Second} {
			at := h.Now().Add(in)
			is.Store(&dispatch.Identity{Subject: "eve", ExpiresAt: at})
			authenticate(c, "eve")
			if !strings.Contains(c.at, `"identity":1`) {
				c.until(`"identity":1`)
			}
			refused(c, at)
			is.Store(&dispatch.Identity{Subject: "ann"})
			authenticate(c, "ann")
		}

		// The host says so.
		at := h.Now()
		is.Store(&dispatch.Identity{Subject: "bob"})
		connections.Recheck()
		c.until(`"value":"bob"`)
		is.Store(nil)
		connections.Recheck()
		refused(c, at)
		is.Store(&dispatch.Identity{Subject: "ann"})
		connections.Recheck()
		c.until(`"value":"ann"`)
		if got := h.Now(); !got.Equal(at) {
			t.Errorf("it took %v", got.Sub(at))
		}
		if got := asked.Load(); got > 30 {
			t.Errorf("the host was asked %d times", got)
		}
		_ = c.conn.CloseNow()
	})
}

// TestConvexOperatorsEnd: what an operator runs over a WebSocket is cut off within a second of the end of their
// token, by hand or by its time, and a token that is revoked over HTTP is told of at once.
func TestConvexOperatorsEnd(t *testing.T) {
	var runs atomic.Int32
	actorstest.Run(t, identityEngine(&runs), func(h *actorstest.Harness) {
		client := h.Peer(server.New(h.Engine, server.Options{Operator: server.Tokens(h.Engine)}))
		all := server.Operator{Name: "ann", AllApps: true, Scopes: server.Scopes()}
		admin, _ := mustToken(t, h.Engine, all, h.Now(), time.Time{})
		for what, within := range map[string]time.Duration{"removed": time.Second, "revoked": 0, "expired": time.Second} {
			var until time.Time
			if what == "expired" {
				until = h.Now().Add(5 * time.Second)
			}
			text, id := mustToken(t, h.Engine, all, h.Now(), until)
			c := mustDialBy(h.TB(), client, "ws://peer/v1/apps/acme/api/1.49.0/sync", "a", nil)
			c.send(`{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"` + text + `","impersonating":{"subject":"ann"}}`)
			c.query(1, "0", "who:ami")
			c.until(`"value":"ann"`)
			c.send(`{"type":"Action","requestId":3,"udfPath":"slow:wait","args":[{}]}`)
			h.Advance(4*time.Second + 100*time.Millisecond)
			at := h.Now()
			switch what {
			case "removed":
				if known, err := h.Engine.Tokens().Remove(id); !known || err != nil {
					t.Fatal(known, err)
				}
			case "revoked":
				req, _ := http.NewRequestWithContext(h.Context(), http.MethodDelete, "http://peer/v1/tokens/"+id, nil)
				req.Header.Set("Authorization", "Bearer "+admin)
				resp, err := client.Do(req)
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
				_ = resp.Body.Close()
			case "expired":
				at = until
			}
			got := ""
			for range 2 {
				m := c.next()
				if got += m; strings.Contains(m, `"AuthError"`) && h.Now().Sub(at) > within {
					t.Errorf("%s: the client is told after %v", what, h.Now().Sub(at))
				}
			}
			if !strings.Contains(got, `"type":"AuthError"`) || !strings.Contains(got, `"type":"ActionResponse","requestId":3,"success":false`) || !strings.Contains(got, "it is unknown, has expired or was revoked") || h.Now().Sub(at) > time.Second {
				t.Errorf("%s: after %v it is told %s", what, h.Now().Sub(at), got)
			}
			_ = c.conn.CloseNow()
		}
	})
}
