// Package brief keeps foreign text in an error message short.
package brief

import (
	"fmt"
	"unicode/utf8"
)

// Cut shortens s to at most n bytes, at the boundary of a character; n is 3 at least.
func Cut(s string, n int) string {
	const mark = "…"
	if len(s) <= n {
		return s
	}
	n -= len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}

// Quote renders a name, of which it shows 256 bytes at most.
func Quote(s string) string { return fmt.Sprintf("%q", Cut(s, 256)) }
