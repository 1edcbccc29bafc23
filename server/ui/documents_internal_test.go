package ui

import (
	"strings"
	"testing"
)

// TestCompared: each line is marked that only one of two versions has, and of many lines none is.
func TestCompared(t *testing.T) {
	for _, tt := range []struct{ a, b, inA, inB string }{
		{"a\nb\nc", "a\nb\nc", "a b c", "a b c"},
		{"a\nb\nc", "a\nx\nc", "a -b c", "a -x c"},
		{"a\nb\nc", "a\nc", "a -b c", "a c"},
		{"a\nc", "a\r\nb\r\nc", "a c", "a -b c"},
		{"a", "b\nc", "-a", "-b -c"},
		{"", "a", "-", "-a"},
		{"a\nb", "b\na", "-a b", "b -a"},
		{strings.Repeat("a\n", maxCompared-1) + "a", "b", strings.TrimSpace(strings.Repeat("-a ", maxCompared)), "-b"},
		{strings.Repeat("a\n", maxCompared) + "a", "b", strings.TrimSpace(strings.Repeat("a ", maxCompared+1)), "b"},
	} {
		shown := func(lines []versionLine) string {
			var list []string
			for _, l := range lines {
				if l.Alone {
					l.Text = "-" + l.Text
				}
				list = append(list, l.Text)
			}
			return strings.Join(list, " ")
		}
		inA, inB := compared(tt.a, tt.b)
		if shown(inA) != tt.inA || shown(inB) != tt.inB {
			t.Errorf("%.20q and %.20q: %.60s and %.60s, want %.60s and %.60s", tt.a, tt.b, shown(inA), shown(inB), tt.inA, tt.inB)
		}
	}
}
