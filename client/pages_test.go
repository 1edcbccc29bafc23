package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"carillon/client"
	"carillon/server/api"
)

// listing is a server of which each listing has pages of some rows, named "0" to the number.
type listing struct {
	pages  []int
	failed int // page that is refused, counted from 1
	asked  []url.Values
}

// RoundTrip implements http.RoundTripper.
func (l *listing) RoundTrip(r *http.Request) (*http.Response, error) {
	q := r.URL.Query()
	l.asked = append(l.asked, q)
	n := 0
	if at := q.Get("cursor") + q.Get("after"); at != "" {
		var err error
		if n, err = strconv.Atoi(at); err != nil {
			return nil, err
		}
	}
	if n+1 == l.failed {
		return answerOf(r, 404, `{"code":"not_found","message":"gone"}`), nil
	}
	kind := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	row, next := map[string]string{
		"jobs": `{"id":"%d"}`, "apps": `{"name":"%d"}`, "groups": `{"followUp":"%d"}`, "operations": `{"by":"%d"}`, "audit": `{"operator":"%d"}`,
	}[kind], ""
	first := 0
	for _, rows := range l.pages[:n] {
		first += rows
	}
	var rows []string
	for i := range l.pages[n] {
		rows = append(rows, fmt.Sprintf(row, first+i))
	}
	if n+1 < len(l.pages) {
		if next = strconv.Itoa(n + 1); kind != "groups" {
			next = strconv.Quote(next)
		}
		next = `,"next":` + next
	}
	name := map[string]string{"audit": "entries"}[kind]
	if name == "" {
		name = kind
	}
	return answerOf(r, 200, fmt.Sprintf(`{"result":{%q:[%s]%s}}`, name, strings.Join(rows, ","), next)), nil
}

// TestListingsHaveAllPages: each row once, in order, past pages that are empty, until the last page, an
// error or the end of the loop.
func TestListingsHaveAllPages(t *testing.T) {
	names := func(most int) map[string]func(context.Context, *client.Client) ([]string, error) {
		return map[string]func(context.Context, *client.Client) ([]string, error){
			"jobs": func(ctx context.Context, c *client.Client) (got []string, err error) {
				for row, err := range c.App("acme").Jobs(ctx, api.JobFilter{}) {
					if err != nil {
						return got, err
					}
					if got = append(got, row.ID); len(got) == most {
						break
					}
				}
				return got, nil
			},
			"apps": func(ctx context.Context, c *client.Client) (got []string, err error) {
				for row, err := range c.Apps(ctx, client.AppFilter{}) {
					if err != nil {
						return got, err
					}
					if got = append(got, row.Name); len(got) == most {
						break
					}
				}
				return got, nil
			},
			"groups": func(ctx context.Context, c *client.Client) (got []string, err error) {
				for row, err := range c.App("acme").Groups(ctx, client.GroupFilter{}) {
					if err != nil {
						return got, err
					}
					if got = append(got, row.FollowUp); len(got) == most {
						break
					}
				}
				return got, nil
			},
			"operations": func(ctx context.Context, c *client.Client) (got []string, err error) {
				for row, err := range c.App("acme").Operations(ctx, client.OperationFilter{}) {
					if err != nil {
						return got, err
					}
					if got = append(got, row.By); len(got) == most {
						break
					}
				}
				return got, nil
			},
			"audit": func(ctx context.Context, c *client.Client) (got []string, err error) {
				for row, err := range c.Audit(ctx, client.AuditFilter{}) {
					if err != nil {
						return got, err
					}
					if got = append(got, row.Operator); len(got) == most {
						break
					}
				}
				return got, nil
			},
		}
	}
	for _, tt := range []struct {
		pages        []int
		failed, most int
		want, asked  int
	}{
		{[]int{0}, 0, 0, 0, 1},
		{[]int{2}, 0, 0, 2, 1},
		{[]int{2, 1}, 0, 0, 3, 2},
		{[]int{0, 2, 0, 0, 1, 0}, 0, 0, 3, 6},
		{[]int{2, 2, 2}, 2, 0, 2, 2},
		{[]int{2, 2, 2}, 0, 3, 3, 2},
		{[]int{2, 2, 2}, 0, 2, 2, 1},
	} {
		for kind, list := range names(tt.most) {
			l := &listing{pages: tt.pages, failed: tt.failed}
			got, err := list(t.Context(), mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: l}}))
			var want []string
			for i := range tt.want {
				want = append(want, strconv.Itoa(i))
			}
			if !slices.Equal(got, want) || len(l.asked) != tt.asked || (tt.failed > 0) != errors.Is(err, api.CodeNotFound) {
				t.Errorf("%s of %v: got %q by %d requests, %v", kind, tt.pages, got, len(l.asked), err)
			}
		}
	}
}

// TestPagesThatStandStill: a server that names the same page again ends the listing.
func TestPagesThatStandStill(t *testing.T) {
	n := 0
	c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		n++
		return answerOf(r, 200, `{"result":{"jobs":[{"id":"j"}],"next":"x"}}`), nil
	})}})
	var err error
	for _, err = range c.App("acme").Jobs(t.Context(), api.JobFilter{}) {
		if n > 5 {
			t.Fatal("it goes on")
		}
	}
	if !errors.Is(err, api.CodeUnimplemented) || n != 2 {
		t.Errorf("%d requests, %v", n, err)
	}
}

// TestFiltersAreParameters: every condition of a filter is one, and no other.
func TestFiltersAreParameters(t *testing.T) {
	at := time.Date(2026, 11, 29, 20, 0, 0, 5e6, time.FixedZone("", 3600))
	span := api.TimeRange{From: at, Before: at.Add(time.Hour)}
	l := &listing{pages: []int{0}}
	c := mustClient(t, "http://127.0.0.1:1", client.Options{HTTP: &http.Client{Transport: l}})
	full := api.JobFilter{
		ID: "i", States: []api.State{"a", "b"}, Function: "f", Trigger: "t", Parent: "p", Group: 7, Error: "e", Tags: []string{"x", "y"}, Pool: "q", PoolKey: "k", UniqueKey: "u",
		Due: span, Ended: span, Priority: 2, IDContains: "ic", ArgsContains: "ac", Limit: 9, Cursor: "0", Desc: true,
	}
	for v := range reflect.ValueOf(full).Fields() {
		if reflect.ValueOf(full).FieldByName(v.Name).IsZero() {
			t.Errorf("the test leaves %s out", v.Name)
		}
	}
	for range c.App("acme").Jobs(t.Context(), full) {
	}
	for range c.Apps(t.Context(), client.AppFilter{Prefix: "p", Contains: "c", Limit: 9, Cursor: "0"}) {
	}
	for range c.App("acme").Groups(t.Context(), client.GroupFilter{Going: true, After: 0, Limit: -9}) {
	}
	for range c.App("acme").Operations(t.Context(), client.OperationFilter{Going: true, Limit: 9, Cursor: "0"}) {
	}
	for range c.Audit(t.Context(), client.AuditFilter{App: "a", Operator: "o", Span: span, Limit: 9, Cursor: "0"}) {
	}
	from, before := []string{"2026-11-29T20:00:00.005+01:00"}, []string{"2026-11-29T21:00:00.005+01:00"}
	one := func(text string) []string { return []string{text} }
	want := []url.Values{
		{
			"id": one("i"), "state": {"a", "b"}, "function": one("f"), "trigger": one("t"), "parent": one("p"), "group": one("7"), "error": one("e"),
			"tag": {"x", "y"}, "pool": one("q"), "poolKey": one("k"), "uniqueKey": one("u"), "dueFrom": from, "dueBefore": before, "endedFrom": from, "endedBefore": before,
			"priority": one("2"), "idContains": one("ic"), "argsContains": one("ac"), "limit": one("9"), "cursor": one("0"), "desc": one("true"),
		},
		{"prefix": one("p"), "contains": one("c"), "limit": one("9"), "cursor": one("0")},
		{"going": one("true"), "limit": one("-9")},
		{"going": one("true"), "limit": one("9"), "cursor": one("0")},
		{"app": one("a"), "operator": one("o"), "from": from, "before": before, "limit": one("9"), "cursor": one("0")},
	}
	if !reflect.DeepEqual(l.asked, want) {
		t.Errorf("the parameters are\n%v, want\n%v", l.asked, want)
	}
}
