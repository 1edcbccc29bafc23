package storagetest

import "os"

// All says whether a test tries all of its cases, as CARILLON_TESTS=all asks
// for and .ci/run does, or some, so that a plain "go test ./..." takes less than
// two minutes.
func All() bool { return os.Getenv("CARILLON_TESTS") == "all" }

// Some returns all cases, or, if All is false, n of them at most, the first and
// the last among them.
func Some[T any](n int, cases []T) []T {
	if All() || len(cases) <= n {
		return cases
	}
	some := make([]T, 0, n)
	for i := range n {
		some = append(some, cases[i*(len(cases)-1)/(n-1)])
	}
	return some
}
