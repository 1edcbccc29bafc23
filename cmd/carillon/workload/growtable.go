package workload

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteGrowth writes the steps of a series as a table in Markdown: a line for each
// figure, a column for each size.
func WriteGrowth(w io.Writer, s Series, steps []Step) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s: %s\n\n| |", s.Name, s.What)
	rule := "|---|"
	for _, step := range steps {
		fmt.Fprintf(&b, " %s |", whole(int64(step.Size)))
		rule += "---:|"
	}
	fmt.Fprintf(&b, "\n%s\n", rule)
	if len(steps) > 0 {
		for _, f := range steps[0].Figures {
			fmt.Fprintf(&b, "| %s |", f.Name)
			for i := range steps {
				b.WriteString(" " + growthCell(&steps[i], f.Name) + " |")
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// growthCell is the figure, and its exponent, in bold where that is steep.
func growthCell(s *Step, name string) string {
	f, ok := s.figure(name)
	if !ok {
		return ""
	}
	text := figure(&f.Value)
	if f.Exponent != nil {
		exponent := "^" + strconv.FormatFloat(*f.Exponent, 'f', 2, 64)
		if f.Steep {
			exponent = "**" + exponent + "**"
		}
		text += " (" + exponent + ")"
	}
	return text
}
