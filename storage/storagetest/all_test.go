package storagetest_test

import (
	"fmt"
	"testing"

	"carillon/storage/storagetest"
)

func TestSome(t *testing.T) {
	t.Setenv("CARILLON_TESTS", "")
	for _, tt := range []struct {
		cases []int
		want  string
	}{
		{nil, "[]"},
		{[]int{1, 2, 3}, "[1 2 3]"},
		{[]int{1, 2, 3, 4}, "[1 2 4]"},
		{[]int{1, 2, 3, 4, 5, 6, 7, 8, 9}, "[1 5 9]"},
	} {
		if got := fmt.Sprint(storagetest.Some(3, tt.cases)); got != tt.want {
			t.Errorf("three of %v: got %s, want %s", tt.cases, got, tt.want)
		}
		t.Setenv("CARILLON_TESTS", "all")
		if got := fmt.Sprint(storagetest.Some(3, tt.cases)); got != fmt.Sprint(tt.cases) {
			t.Errorf("all of %v: got %s", tt.cases, got)
		}
		t.Setenv("CARILLON_TESTS", "")
	}
}
