package workload

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

// SVGStyle has the colors of a plot for light, and those for dark, and no background:
// the reader's preference chooses. Its classes are title, note, value, group, own, peer,
// pale and spread.
const SVGStyle = `text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}.note,.value{fill:#59636e}.group{font-weight:600}` +
	`.own{fill:#0969da}.peer{fill:#8c959f}.pale{fill:#c8ccd1}.spread{stroke:#1f2328;stroke-width:1.5}` +
	`@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note,.value{fill:#9198a1}.own{fill:#4493f8}.peer{fill:#656c76}.pale{fill:#3d444d}.spread{stroke:#e6edf3}}`

const (
	growWidth, growHeight = 760, 420
	growLeft, growRight   = 60, 300 // right: the names of the lines
	growTop, growBottom   = 70, 34
	growLabel             = 16 // between two names at least
)

// growStyle is that of lines: of what is of all there is, of what is of one, and of what
// would grow as fast as the store.
const growStyle = `.line{fill:none;stroke-width:2}.all{stroke:#0969da}.one{stroke:#8c959f}.steep{stroke:#cf222e}.even{stroke:#8c959f;stroke-dasharray:4 4}.axis{stroke:#c8ccd1}` +
	`@media(prefers-color-scheme:dark){.all{stroke:#4493f8}.one{stroke:#656c76}.steep{stroke:#f85149}.even{stroke:#656c76}.axis{stroke:#3d444d}}`

// growLine is a figure over the sizes, as so many times what it was at the first.
type growLine struct {
	name, class string
	times       []float64
}

// unitless is the name of a figure without its unit, which a ratio does not have.
func unitless(name string) string {
	return strings.TrimSuffix(name[:max(0, strings.LastIndexByte(name, ' '))], ",")
}

// growLines are the lines of the steps, the greatest at the last size first.
func growLines(steps []Step) (lines []growLine) {
	for _, f := range steps[0].Figures {
		line := growLine{name: f.Name, class: "one"}
		if f.Whole {
			line.class = "all"
		}
		if f.Value <= 0 || strings.HasSuffix(f.Name, "p99 ms") { // they are told, but would hide the others
			continue
		}
		for i := range steps {
			now, ok := steps[i].figure(f.Name)
			if !ok || now.Value <= 0 {
				break
			}
			if now.Steep {
				line.class = "steep"
			}
			line.times = append(line.times, now.Value/f.Value)
		}
		if len(line.times) == len(steps) {
			lines = append(lines, line)
		}
	}
	slices.SortStableFunc(lines, func(a, b growLine) int { return cmp.Compare(b.times[len(steps)-1], a.times[len(steps)-1]) })
	return lines
}

// PlotGrowth draws the steps of a series, of two sizes at least, as lines; both scales
// are logarithmic.
func PlotGrowth(w io.Writer, s Series, steps []Step) error {
	if len(steps) < 2 || steps[0].Size >= steps[len(steps)-1].Size {
		return fmt.Errorf("%s: there is nothing to draw of %d sizes", s.Name, len(steps))
	}
	lines := growLines(steps)
	grown := float64(steps[len(steps)-1].Size) / float64(steps[0].Size)
	low, high := 0.5, grown
	for _, l := range lines {
		low, high = min(low, slices.Min(l.times)), max(high, slices.Max(l.times))
	}
	x := func(size int) float64 {
		return growLeft + (growWidth-growLeft-growRight)*math.Log(float64(size)/float64(steps[0].Size))/math.Log(grown)
	}
	y := func(times float64) float64 {
		return growTop + (growHeight-growTop-growBottom)*math.Log(high/times)/math.Log(high/low)
	}
	var b strings.Builder
	for times := math.Pow(10, math.Ceil(math.Log10(low))); times <= high; times *= 10 {
		fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%[3]f"/><text class="note" x="%d" y="%.1f" text-anchor="end">%s×</text>`+"\n",
			growLeft, growWidth-growRight, y(times), growLeft-6, y(times)+4, figure(&times))
	}
	for _, step := range steps {
		fmt.Fprintf(&b, `<text class="note" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(step.Size), growHeight-10, whole(int64(step.Size)))
	}
	last := steps[len(steps)-1].Size
	fmt.Fprintf(&b, `<line class="line even" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", x(steps[0].Size), y(1), x(last), y(grown))
	floor := 0.0
	for _, l := range lines {
		var points []string
		for i, times := range l.times {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(steps[i].Size), y(times)))
		}
		end := l.times[len(l.times)-1]
		floor = max(y(end), floor+growLabel)
		fmt.Fprintf(&b, `<polyline class="line %s" points="%s"/><text x="%d" y="%.1f">%s: %s×</text>`+"\n",
			l.class, strings.Join(points, " "), growWidth-growRight+10, floor+4, html.EscapeString(unitless(l.name)), figure(&end))
	}
	height := max(growHeight, int(floor)+growLabel)
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-label="%[3]s">
<style>%[4]s</style>
<text class="title" x="0" y="20">%[3]s</text>
<text class="note" x="0" y="42">times what it is at the least size; blue: of all, gray: of one, red: too steep, dashed: as fast as the store</text>
%[5]s</svg>
`, growWidth, height, html.EscapeString("Growth: "+s.What), SVGStyle+growStyle, b.String())
	return err
}
