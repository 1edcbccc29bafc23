package brief_test

import (
	"strings"
	"testing"

	"carillon/internal/brief"
)

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		s    string
		n    int
		want string
	}{
		{"", 3, ""},
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc…"},
		{"abäää", 8, "abäää"},
		{"abäää", 7, "abä…"},
		{"abäää", 6, "ab…"}, // the second byte of ä is no boundary
		{"abcd", 3, "…"},
	} {
		if got := brief.Cut(tt.s, tt.n); got != tt.want {
			t.Errorf("Cut(%q, %d) is %q, want %q", tt.s, tt.n, got, tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	if got := brief.Quote("a\"b\n"); got != `"a\"b\n"` {
		t.Error(got)
	}
	for n, want := range map[int]int{256: 258, 257: 258} {
		if got := brief.Quote(strings.Repeat("x", n)); len(got) != want {
			t.Errorf("of %d bytes %d are shown", n, len(got)-2)
		}
	}
}
