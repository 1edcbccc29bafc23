package dispatch_test

import (
	"testing"

	"carillon/dispatch"
)

// G38: registries that jobs find different have different fingerprints, and one that
// is made twice has one.
func TestG38_TheFingerprintIsOfAllThatJobsNeed(t *testing.T) {
	type node struct {
		Next *node `json:"next"`
	}
	type a1 struct {
		N int `json:"n"`
	}
	type a2 struct {
		N int `json:"m"`
	}
	type a3 struct {
		N []int8 `json:"n"`
	}
	type a4 struct {
		N map[string]int8 `json:"n"`
	}
	shapes := map[string]func(*dispatch.Registry){
		"empty":       func(*dispatch.Registry) {},
		"a mutation":  mutationOf[a1]("a:b"),
		"other path":  mutationOf[a1]("a:c"),
		"other name":  mutationOf[a2]("a:b"),
		"other type":  mutationOf[a3]("a:b"),
		"a map":       mutationOf[a4]("a:b"),
		"recursive":   mutationOf[node]("a:b"),
		"strict":      mutationOf[a1]("a:b", dispatch.StrictArgs()),
		"an old path": mutationOf[a1]("a:b", dispatch.Formerly("a:old")),
		"a query": func(reg *dispatch.Registry) {
			dispatch.Query[a1, dispatch.None]("a:b").Handle(reg, func(*dispatch.QueryCtx, a1) (dispatch.None, error) { return dispatch.None{}, nil })
		},
	}
	names := map[string]string{}
	for name, bind := range shapes {
		var prints [2]string
		for i := range prints {
			reg := dispatch.NewRegistry()
			bind(reg)
			prints[i] = reg.Fingerprint()
		}
		if prints[0] != prints[1] {
			t.Errorf("%s: %s, and then %s", name, prints[0], prints[1])
		}
		if other, ok := names[prints[0]]; ok {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		names[prints[0]] = name
	}
}

// mutationOf binds a mutation with these arguments.
func mutationOf[A any](path string, opts ...dispatch.FunctionOption) func(*dispatch.Registry) {
	return func(reg *dispatch.Registry) {
		dispatch.InternalMutation[A, dispatch.None](path, opts...).Handle(reg, func(*dispatch.MutationCtx, A) (dispatch.None, error) { return dispatch.None{}, nil })
	}
}
