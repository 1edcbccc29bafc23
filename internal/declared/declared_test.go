package declared_test

import (
	"testing"

	"carillon/internal/declared"
)

var list declared.List[int]

var _ = func() int { list.Add("some/home", 1); return 1 }()

// What a test's file declares is not kept, nor what is declared by a function
// that runs later.
func TestOnlyProgramsAreKept(t *testing.T) {
	list.Add("some/home", 2)
	if all := list.All(); len(all) != 0 {
		t.Errorf("kept %+v", all)
	}
}

func TestCaller(t *testing.T) {
	pkg, ok := declared.Caller("some/home")
	if pkg != "carillon/internal/declared_test" || ok {
		t.Errorf("called by %s, and said not to be a test's file is %v", pkg, ok)
	}
	if pkg, _ := declared.Caller("carillon/internal/declared_test"); pkg != "testing" {
		t.Errorf("called by %s, want the caller of the home", pkg)
	}
}
