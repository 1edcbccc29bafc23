package actorstest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// A peer takes its time, in virtual time; a client's timeout and the deadline of
// an action cut a call off at their instants, and the peer is told.
func TestPeer(t *testing.T) {
	reg := dispatch.NewRegistry()
	ask := dispatch.Action[time.Duration, string]("peer:ask", dispatch.Deadline(time.Hour))
	var client *http.Client
	ask.Handle(reg, func(ctx *dispatch.ActionCtx, d time.Duration) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bank.example/pay", strings.NewReader(d.String()))
		if err != nil {
			return "", err
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	})
	actorstest.Run(t, actors.Options{Functions: reg}, func(h *actorstest.Harness) {
		gone := make(chan time.Duration, 1)
		began := h.Now()
		client = h.Peer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			d, err := time.ParseDuration(string(body))
			if err != nil {
				t.Error(err)
			}
			select {
			case <-time.After(d):
				fmt.Fprint(w, r.Host, " after ", d)
			case <-r.Context().Done():
				gone <- h.Now().Sub(began)
			}
		}))
		if got, err := ask.Run(h.Caller("acme"), 40*time.Minute); err != nil || got != "bank.example after 40m0s" || h.Now().Sub(began) != 40*time.Minute {
			t.Errorf("the peer says %q, %v, after %v", got, err, h.Now().Sub(began))
		}
		began = h.Now()
		_, err := ask.Run(h.Caller("acme"), 3*time.Hour)
		if code := dispatch.AsError(err).Code; code != dispatch.CodeDeadlineExceeded || <-gone != time.Hour {
			t.Errorf("past the action's deadline: %v", err)
		}
		began = h.Now()
		client.Timeout = time.Minute
		_, err = client.Post("http://any.example/", "", strings.NewReader("2m"))
		if !errors.Is(err, context.DeadlineExceeded) || <-gone != time.Minute {
			t.Errorf("past the client's timeout: %v", err)
		}
		h.Crash()
		client.Timeout = 0
		if got, err := ask.Run(h.Caller("acme"), 0); err != nil || got != "bank.example after 0s" {
			t.Errorf("after a crash the peer says %q, %v", got, err)
		}
	})
}

// Documents are read without a query, of the committed state.
func TestReadDocuments(t *testing.T) {
	type note struct{ Text string }
	notes := storage.NewTable[note]("notes")
	reg := dispatch.NewRegistry()
	add := dispatch.Mutation[string, dispatch.None]("notes:add")
	add.Handle(reg, func(ctx *dispatch.MutationCtx, text string) (none dispatch.None, err error) {
		_, err = notes.Insert(ctx.DB, note{text})
		return none, err
	})
	actorstest.Run(t, actors.Options{Functions: reg}, func(h *actorstest.Harness) {
		if docs := actorstest.Documents(h, "acme", notes); len(docs) != 0 {
			t.Errorf("an app that does not exist has %v", docs)
		}
		for _, text := range []string{"one", "two"} {
			if _, err := add.Run(h.Caller("acme"), text); err != nil {
				t.Fatal(err)
			}
		}
		h.Crash()
		docs := actorstest.Documents(h, "acme", notes)
		if len(docs) != 2 || docs[0].Value.Text != "one" || docs[1].Value.Text != "two" {
			t.Errorf("the documents are %v", docs)
		}
		h.Read("acme", func(db storage.Reader) {
			if one, err := notes.Get(db, docs[0].ID); err != nil || one.Text != "one" {
				t.Errorf("the first is %v, %v", one, err)
			}
			if _, writes := db.(storage.Writer); writes {
				t.Error("a test is given a Writer")
			}
		})
	})
}

// Months pass without the clock being looked at every second.
func TestMonthsPassInNoTime(t *testing.T) {
	var looks atomic.Int64
	opts := actors.Options{Functions: functions(), Testing: actors.Testing{Clock: func() time.Time {
		looks.Add(1)
		return time.Now()
	}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		h.Advance(90 * 24 * time.Hour)
		if n := looks.Load(); n > 20_000 {
			t.Errorf("the clock was read %d times in 90 days", n)
		}
	})
}
