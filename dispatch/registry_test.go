package dispatch_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

type none = dispatch.None

func TestRegistryRefusesAPathTwice(t *testing.T) {
	reg := dispatch.NewRegistry()
	handleNothing[none](reg, "a:new", dispatch.Formerly("a:old"))
	mustPanic(t, "a:new belongs to mutation a:new", func() { handleNothing[none](reg, "a:new") })
	mustPanic(t, "a:old belongs to mutation a:new", func() { handleNothing[none](reg, "a:old") })
	mustPanic(t, "a:old belongs to mutation a:new", func() { handleNothing[none](reg, "a:other", dispatch.Formerly("a:old")) })
	mustPanic(t, "a:new belongs to mutation a:new", func() { handleNothing[none](reg, "a:other", dispatch.Formerly("a:new")) })
	if _, ok := reg.Lookup("a:other"); ok {
		t.Error("a refused function was registered")
	}
}

func TestSealedRegistryTakesNoHandler(t *testing.T) {
	reg := dispatch.NewRegistry()
	reg.Seal()
	reg.Seal()
	mustPanic(t, "before the registry is in use", func() { handleNothing[none](reg, "a:b") })
}

// TestACloneIsOfItsOwn: it has what the sealed registry has, and what it is given is its alone.
func TestACloneIsOfItsOwn(t *testing.T) {
	reg := dispatch.NewRegistry()
	handleNothing[none](reg, "a:b")
	reg.Seal()
	clone := reg.Clone()
	handleNothing[none](clone, "a:c")
	clone.OnDead(func(context.Context, storage.AppID, storage.Job) {})
	clone.Seal()
	if len(clone.Functions()) != 2 || len(reg.Functions()) != 1 || len(clone.DeadHooks()) != 1 || len(reg.DeadHooks()) != 0 {
		t.Errorf("the clone has %v, the registry %v", clone.Functions(), reg.Functions())
	}
	mustPanic(t, "before the registry is in use", func() { handleNothing[none](reg, "a:d") })
	mustPanic(t, "before the registry is in use", func() { handleNothing[none](clone, "a:d") })
}

func TestLookupFollowsARename(t *testing.T) {
	reg := dispatch.NewRegistry()
	handleNothing[none](reg, "a:new", dispatch.Formerly("a:old", "a:older"))
	for _, path := range []string{"a:new", "a:old", "a:older"} {
		if fn, ok := reg.Lookup(path); !ok || fn.Path != "a:new" {
			t.Errorf("lookup %s: %v, %v", path, fn, ok)
		}
	}
	if _, ok := reg.Lookup("a:oldest"); ok {
		t.Error("an unknown path was found")
	}
	fn, _, err := reg.Schedulable(dispatch.Path("a:old").With(nil), dispatch.Limits{})
	mustDo(t, err)
	if fn.Path != "a:new" {
		t.Errorf("a call by the old path is of %s, want the new one", fn.Path)
	}
}

func TestFunctionsAreListedByPath(t *testing.T) {
	reg := dispatch.NewRegistry()
	handleNothing[none](reg, "b:b", dispatch.Formerly("z:z", "a:a"))
	handleNothing[none](reg, "a:b", dispatch.Deadline(time.Minute))
	dispatch.InternalAction[none, none]("a:c").Handle(reg, func(*dispatch.ActionCtx, none) (none, error) { return none{}, nil })
	want := []dispatch.Info{
		{Path: "a:b", Kind: dispatch.KindMutation, Deadline: time.Minute},
		{Path: "a:c", Kind: dispatch.KindAction, Internal: true},
		{Path: "b:b", Kind: dispatch.KindMutation, Formerly: []string{"z:z", "a:a"}},
	}
	if got := reg.Functions(); !reflect.DeepEqual(got, want) {
		t.Errorf("functions %+v\nwant %+v", got, want)
	}
}

// D1.
func TestClientSeesAnInternalFunctionAsItSeesAnUnknownOne(t *testing.T) {
	with, without := dispatch.NewRegistry(), dispatch.NewRegistry()
	dispatch.InternalMutation[none, none]("a:secret", dispatch.Formerly("a:old")).Handle(with,
		func(*dispatch.MutationCtx, none) (none, error) { return none{}, nil })
	for _, path := range []string{"a:secret", "a:old"} {
		for _, kind := range []dispatch.Kind{"", dispatch.KindQuery, dispatch.KindMutation} {
			_, got := with.Resolve(path, dispatch.OriginClient, kind)
			_, want := without.Resolve(path, dispatch.OriginClient, kind)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s as %q: %#v, an unknown one is %#v", path, kind, got, want)
			}
		}
		for _, origin := range []dispatch.Origin{
			dispatch.OriginHost, dispatch.OriginJob, dispatch.OriginFunction,
		} {
			if _, err := with.Resolve(path, origin, dispatch.KindMutation); err != nil {
				t.Errorf("%s from %s: %v", path, origin, err)
			}
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	reg := dispatch.NewRegistry()
	handleNothing[none](reg, "a:b")
	_, err := reg.Resolve("a:x", dispatch.OriginHost, "")
	wantError(t, err, dispatch.CodeNotFound, `no function "a:x"`)
	_, err = reg.Resolve("a:b", dispatch.OriginClient, dispatch.KindAction)
	wantError(t, err, dispatch.CodeInvalidArgument, `function "a:b" is of kind mutation, not action`)
	_, err = reg.Resolve(strings.Repeat("x", 1<<20), dispatch.OriginClient, "")
	if text := err.Error(); len(text) > 3*dispatch.MaxPath {
		t.Errorf("the error of a hostile path is %d bytes long", len(text))
	}
}

// D2.
func TestSchedulableRefusesWhatCouldNeverRun(t *testing.T) {
	reg := dispatch.NewRegistry()
	query := dispatch.Query[none, none]("a:query")
	query.Handle(reg, func(*dispatch.QueryCtx, none) (none, error) { return none{}, nil })
	handleNothing[struct {
		N int `json:"n"`
	}](reg, "a:mutation")

	for _, tt := range []struct {
		name    string
		call    dispatch.Call
		code    dispatch.Code
		message string
	}{
		{"zero call", dispatch.Call{}, dispatch.CodeNotFound, `no function ""`},
		{"unknown path", dispatch.Path("a:x").With(nil), dispatch.CodeNotFound, `no function "a:x"`},
		{"bad path", dispatch.Path("x").With(nil), dispatch.CodeNotFound, `no function "x"`},
		{"query", dispatch.Path("a:query").With(nil), dispatch.CodeInvalidArgument, `function "a:query" is a query: only mutations and actions run later`},
		{"wrong type", dispatch.Path("a:mutation").With(map[string]any{"n": "1"}), dispatch.CodeInvalidArgument, `args: field "n": want number, got string`},
		{"unknown field", dispatch.Path("a:mutation").With(map[string]any{"m": 1}), dispatch.CodeInvalidArgument, `args: unknown field "m"`},
		{"unencodable", dispatch.Path("a:mutation").With(make(chan int)), dispatch.CodeInvalidArgument, `args: cannot be encoded: unsupported type: chan int`},
	} {
		_, _, err := reg.Schedulable(tt.call, dispatch.Limits{})
		t.Run(tt.name, func(t *testing.T) { wantError(t, err, tt.code, tt.message) })
	}
}
