package actors_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestEditDocumentIsSeen: a change by an operator reaches live queries and indexes as a mutation's does, has its
// entry in the audit log in the same commit, and one of an old version, or that does not decode, has none.
func TestEditDocumentIsSeen(t *testing.T) {
	k := newLiveKit()
	actorstest.Run(t, k.options(), func(h *actorstest.Harness) {
		app := h.App("acme")
		ids, commit := k.step(h, liveStep{Insert: []piece{{"a", 1}, {"b", 2}}})
		c := newLiveClient(h, nil)
		c.reach(c.add(0, liveQuery("live:shelf", "a"), liveQuery("live:get", ids[0])), commit)
		ctx := actors.WithAudit(h.Context(), &storage.AuditEntry{Operator: "ann", Action: "PUT it", IDs: []string{"pieces"}})
		edit := func(e storage.DocumentEdit) (storage.Document, error) {
			e.Table = "pieces"
			doc, err := app.EditDocument(ctx, e)
			if err == nil {
				commit, err := app.Instant(h.Context())
				if err != nil {
					t.Fatal(err)
				}
				c.reach(0, commit)
			}
			return doc, err
		}
		want := func(shelf, one string) {
			t.Helper()
			if c.known[0] != shelf || !strings.Contains(c.known[1], one) {
				t.Errorf("live queries show %s and %s, want %s and %s", c.known[0], c.known[1], shelf, one)
			}
		}
		first := string(ids[0])
		seen, err := app.Document(h.Context(), "pieces", first)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := edit(storage.DocumentEdit{ID: first, Version: seen.Version, JSON: json.RawMessage(`{"n":7,"shelf":"a"}`)})
		if err != nil || string(changed.JSON) != `{"shelf":"a","n":7}` {
			t.Fatal(changed, err)
		}
		want(`["`+first+` a 7"]`, `"n":7`)

		_, err = edit(storage.DocumentEdit{ID: first, Version: seen.Version, JSON: json.RawMessage(`{"n":8,"shelf":"a"}`)})
		conflict, ok := errors.AsType[*storage.ConflictError](err)
		if !ok || conflict.Present.Version != changed.Version || dispatch.AsError(err).Code != dispatch.CodeAborted {
			t.Errorf("of an old version: %v", err)
		}
		for _, tt := range []struct {
			e    storage.DocumentEdit
			code dispatch.Code
		}{
			{storage.DocumentEdit{ID: first, Version: changed.Version, JSON: json.RawMessage(`{"colour":"red"}`)}, dispatch.CodeInvalidArgument},
			{storage.DocumentEdit{JSON: json.RawMessage(`{"n":"one"}`)}, dispatch.CodeInvalidArgument},
			{storage.DocumentEdit{ID: "x", Version: "x"}, dispatch.CodeInvalidArgument},
		} {
			if _, err := edit(tt.e); err == nil || dispatch.AsError(err).Code != tt.code {
				t.Errorf("%+v: %v, want %s", tt.e, err, tt.code)
			}
		}
		made, err := edit(storage.DocumentEdit{JSON: json.RawMessage(`{"n":9,"shelf":"a"}`)})
		if err != nil {
			t.Fatal(err)
		}
		want(`["`+first+` a 7","`+made.ID+` a 9"]`, `"n":7`)
		if _, err := edit(storage.DocumentEdit{ID: first, Version: changed.Version}); err != nil {
			t.Fatal(err)
		}
		want(`["`+made.ID+` a 9"]`, "not_found")

		log, err := h.Engine.AuditLog(storage.AuditFilter{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range log.Entries {
			got = append(got, strings.Join(e.IDs, " "))
		}
		if want := "pieces|pieces " + made.ID + "|pieces"; strings.Join(got, "|") != want {
			t.Errorf("the audit log has %q, want %q", got, want)
		}
		tables, err := app.Tables(h.Context())
		if err != nil || len(tables) != 1 || tables[0].Documents != 2 || !tables[0].Indexes[0].Built {
			t.Errorf("%+v, %v", tables, err)
		}
		page, err := app.Documents(h.Context(), storage.DocumentQuery{Table: "pieces", Index: "by_shelf", Eq: []string{"b"}})
		if err != nil || len(page.Documents) != 1 || page.Documents[0].ID != string(ids[1]) {
			t.Errorf("%+v, %v", page, err)
		}
	})
}
