package dispatch_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
)

func TestPathGrammar(t *testing.T) {
	long := strings.Repeat("n", dispatch.MaxPath-2)
	for _, tt := range []struct {
		path string
		ok   bool
	}{
		{"notes:post", true},
		{"a:b", true},
		{"billing/trials:expire", true},
		{"Team-A/v2/x_y:run_All-2", true},
		{long + ":f", true},
		{long + "n:f", false},
		{"", false},
		{":", false},
		{"notes", false},
		{"notes:", false},
		{":post", false},
		{"a:b:c", false},
		{"/a:b", false},
		{"a/:b", false},
		{"a//b:c", false},
		{"a:b/c", false},
		{"a b:c", false},
		{"a.b:c", false},
		{"ä:b", false},
		{"a:b\n", false},
		{"a\x00:b", false},
	} {
		if err := dispatch.Path(tt.path).Check(); (err == nil) != tt.ok {
			t.Errorf("path %q: error %v, want ok %v", tt.path, err, tt.ok)
		}
	}
}

// mustPanic runs fn and demands a panic whose text contains want.
func mustPanic(tb testing.TB, want string, fn func()) {
	tb.Helper()
	defer func() {
		tb.Helper()
		text, ok := recover().(string)
		if !ok || !strings.Contains(text, want) {
			tb.Errorf("panicked with %q, want %q in it", text, want)
		}
	}()
	fn()
	tb.Errorf("no panic, want one with %q", want)
}

func TestBadDeclarationsPanic(t *testing.T) {
	type none = dispatch.None
	mustPanic(t, "want namespace:function", func() { dispatch.Query[none, none]("notes") })
	mustPanic(t, "want namespace:function", func() { dispatch.Mutation[none, none]("a:b:c") })
	mustPanic(t, "want namespace:function", func() { dispatch.Action[none, none]("") })
	mustPanic(t, "want namespace:function", func() { dispatch.InternalQuery[none, none]("a b:c") })
	mustPanic(t, "want namespace:function", func() { dispatch.InternalMutation[none, none](":c") })
	mustPanic(t, "want namespace:function", func() { dispatch.InternalAction[none, none]("c:") })
	mustPanic(t, "257 bytes", func() { dispatch.Query[none, none](strings.Repeat("n", dispatch.MaxPath-1) + ":f") })
	mustPanic(t, "want namespace:function", func() { dispatch.Query[none, none]("a:b", dispatch.Formerly("old")) })
	mustPanic(t, "declared twice", func() { dispatch.Query[none, none]("a:b", dispatch.Formerly("a:b")) })
	mustPanic(t, "declared twice", func() { dispatch.Query[none, none]("a:b", dispatch.Formerly("a:c", "a:c")) })
	mustPanic(t, "not positive", func() { dispatch.Query[none, none]("a:b", dispatch.Deadline(0)) })
	mustPanic(t, "not positive", func() { dispatch.Query[none, none]("a:b", dispatch.Deadline(-time.Second)) })
	mustPanic(t, "handler is nil", func() {
		dispatch.Query[none, none]("a:b").Handle(dispatch.NewRegistry(), nil)
	})
}

func TestCallEncodesItsArgumentsAtOnce(t *testing.T) {
	args := map[string]any{"n": 1}
	call := dispatch.Path("a:b").With(args)
	args["n"] = 2
	if raw, err := call.Args(); string(raw) != `{"n":1}` || err != nil {
		t.Errorf("args %s, %v, want those of the moment of With", raw, err)
	}
	raw := json.RawMessage(`{"n": 1}`)
	call = dispatch.Path("a:b").With(raw)
	raw[6] = '2'
	if got, _ := call.Args(); string(got) != `{"n": 1}` {
		t.Errorf("raw args %s, want a copy of what was given", got)
	}
	if got, _ := dispatch.Path("a:b").With(nil).Args(); string(got) != "{}" {
		t.Errorf("nil args %s, want {}", got)
	}
	burn, charge := dispatch.InternalMutation[int, dispatch.None]("a:burn"), dispatch.Action[string, dispatch.None]("a:charge")
	if got := fmt.Sprintf("%v %v %s %s", burn.With(7), charge.With("x"), burn.Path(), charge.Path()); got != `a:burn(7) a:charge("x") a:burn a:charge` {
		t.Errorf("typed calls %s", got)
	}
	if call.Path() != "a:b" || call.String() != `a:b({"n": 1})` {
		t.Errorf("call %v has path %q", call, call.Path())
	}
}

func TestCallWithArgumentsThatCannotBeEncodedIsRefusedWhereItIsUsed(t *testing.T) {
	reg := dispatch.NewRegistry()
	ref := dispatch.Mutation[float64, dispatch.None]("a:b")
	ref.Handle(reg, func(*dispatch.MutationCtx, float64) (dispatch.None, error) { return dispatch.None{}, nil })
	_, _, err := reg.Schedulable(ref.With(math.NaN()), dispatch.Limits{})
	wantError(t, err, dispatch.CodeInvalidArgument, "args: cannot be encoded: unsupported value: NaN")
	if _, err := ref.With(math.NaN()).Args(); err == nil {
		t.Error("Args of the call has no error")
	}
}
