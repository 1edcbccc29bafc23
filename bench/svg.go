package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"carillon/cmd/carillon/workload"
)

// chart is a bar chart: groups of horizontal bars, each with its spread as a
// thin line. It has no background, and its colours are chosen by the reader's
// preference, so that it can be read on light and on dark.
type chart struct {
	title string
	note  string // under the title
	log   bool   // the scale is logarithmic: for what spans several powers of ten
	bars  []bar
}

type bar struct {
	group, name string
	value       float64
	spread      Span
	own         bool // it is Carillon's
	pale        bool // it is not durable
}

const (
	chartWidth = 760
	nameWidth  = 250
	valueWidth = 90
	barHeight  = 18
	barGap     = 5
	groupGap   = 30
	headHeight = 56
)

// svg draws the chart.
func (c *chart) svg(w io.Writer) error {
	top := 0.0
	low := math.Inf(1)
	for _, b := range c.bars {
		top, low = max(top, b.value, b.spread.Max), min(low, b.value, b.spread.Min)
	}
	x := func(v float64) float64 {
		const width = chartWidth - nameWidth - valueWidth
		if !c.log {
			return width * v / top
		}
		floor := math.Floor(math.Log10(low)) - 0.5
		return max(2, width*(math.Log10(v)-floor)/(math.Log10(top)-floor))
	}
	var body strings.Builder
	y := headHeight
	group := ""
	for _, b := range c.bars {
		if b.group != group {
			group = b.group
			y += groupGap - barGap
			fmt.Fprintf(&body, `<text class="group" x="0" y="%d">%s</text>`+"\n", y-8, html.EscapeString(group))
		}
		class := "peer"
		switch {
		case b.own:
			class = "own"
		case b.pale:
			class = "pale"
		}
		middle := y + barHeight/2
		fmt.Fprintf(&body, `<text x="%d" y="%d" text-anchor="end">%s</text>`, nameWidth-8, middle+5, html.EscapeString(b.name))
		fmt.Fprintf(&body, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, nameWidth, y, max(1, x(b.value)), barHeight)
		if b.spread.Min < b.spread.Max {
			fmt.Fprintf(&body, `<line class="spread" x1="%.1f" x2="%.1f" y1="%d" y2="%[3]d"/>`, nameWidth+x(b.spread.Min), nameWidth+x(b.spread.Max), middle)
		}
		fmt.Fprintf(&body, `<text class="value" x="%.1f" y="%d">%s</text>`+"\n", nameWidth+max(x(b.value), x(b.spread.Max))+8, middle+5, number(b.value))
		y += barHeight + barGap
	}
	note := c.note
	if c.log {
		note += "; the scale is logarithmic"
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-label="%[3]s">
<style>%[4]s</style>
<text class="title" x="0" y="20">%[3]s</text>
<text class="note" x="0" y="42">%[5]s</text>
%[6]s</svg>
`, chartWidth, y+4, html.EscapeString(c.title), workload.SVGStyle, html.EscapeString(note), body.String())
	return err
}
