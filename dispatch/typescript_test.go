package dispatch_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
)

// TestTypeScriptOfFunctions compares the types with those in testdata/api.d.ts, which
// UPDATE=1 writes anew.
func TestTypeScriptOfFunctions(t *testing.T) {
	type leaf struct {
		Kind string `json:"kind"`
		Data []byte `json:"data,omitempty"`
	}
	type branch struct {
		Name   string            `json:"name"`
		Leaf   *leaf             `json:"leaf"`
		Twigs  []branch          `json:"twigs"`
		ByID   map[int]leaf      `json:"by-id"`
		Any    json.RawMessage   `json:"any"`
		Secret bool              `json:"secret,string"`
		At     time.Time         `json:"at,omitzero"`
		Texts  map[string]string `json:"texts"`
	}
	reg := dispatch.NewRegistry()
	bind[branch](reg, "trees:grow")
	bind[string](reg, "trees:name")
	bind[*int](reg, "trees:age")
	bind[dispatch.None](reg, "trees:wait")
	dispatch.InternalMutation[leaf, dispatch.None]("trees:fall").Handle(reg, func(*dispatch.MutationCtx, leaf) (dispatch.None, error) { return dispatch.None{}, nil })
	got := reg.TypeScript(false)
	if strings.Contains(got, "trees:fall") || !strings.Contains(reg.TypeScript(true), `"trees:fall": {`) || got != reg.TypeScript(false) {
		t.Errorf("internal ones are shown, or are not when asked for, or the text is another each time:\n%s", got)
	}
	golden := filepath.Join("testdata", "api.d.ts")
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("the types are, %v:\n%s", err, got)
	}
}
