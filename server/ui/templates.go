package ui

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"carillon/server/api"
)

//go:embed templates/*.html style.css
var files embed.FS

// templates are the pages by name, each with the layout.
var templates = sync.OnceValue(func() map[string]*template.Template {
	pages := map[string]*template.Template{}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		page := strings.TrimSuffix(path.Base(name), ".html")
		pages[page] = template.Must(template.New(page).Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts.html", name))
	}
	return pages
})

// functions are those of the templates.
var functions = template.FuncMap{
	"count": count, "bytes": size, "path": escaped, "ago": func(t any) (stamp, error) { return stampOf(t, time.Now()) },
	"when": when, "joblink": jobLink, "state": state,
	"span": func(ms int64) string { return span(time.Duration(ms) * time.Millisecond) },
	"rate": amount, "share": share, "short": short, "sentence": sentence,
	"json": indented, "preview": preview, "entered": entered, "priorities": func() []string { return []string{"1", "2", "3", "4"} },
	"field": func(args ...any) map[string]any { // of a part that is given more than one thing
		m := map[string]any{}
		for i := 0; i+1 < len(args); i += 2 {
			m[args[i].(string)] = args[i+1]
		}
		return m
	},
}

// Style answers with the style sheet, which every caller may read.
func Style(w http.ResponseWriter, _ *http.Request) {
	css, err := files.ReadFile("style.css")
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(css)
}

// escaped makes one segment of a path of the text.
func escaped(segment any) string { return url.PathEscape(fmt.Sprint(segment)) }

// count is the number with its thousands apart.
func count(n any) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size is so many bytes, for people.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f, unit := float64(n), 0
	for f >= 1024 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[unit]
}

// stamp is an instant: for machines, exactly, and in relation to now.
type stamp struct{ At, Exact, Near string }

// stampOf is the stamp of a time.Time, or of a pointer to one that may be nil.
func stampOf(t any, now time.Time) (stamp, error) {
	var at time.Time
	switch t := t.(type) {
	case time.Time:
		at = t
	case *time.Time:
		if t != nil {
			at = *t
		}
	default:
		return stamp{}, fmt.Errorf("%T is no instant", t)
	}
	if at.IsZero() {
		return stamp{}, nil
	}
	s := stamp{At: at.UTC().Format(time.RFC3339Nano), Exact: at.UTC().Format("2006-01-02 15:04:05.000 UTC")}
	switch d := now.Sub(at); {
	case d < -time.Second:
		s.Near = "in " + span(-d)
	case d < time.Second:
		s.Near = "now"
	default:
		s.Near = span(d) + " ago"
	}
	return s, nil
}

// What a list has in each of its rows is made here: templates take several times as long.

// when is the instant, in relation to now.
func when(t any) (template.HTML, error) {
	s, err := stampOf(t, time.Now())
	if err != nil || s.At == "" {
		return `<span class="none">–</span>`, err
	}
	return template.HTML(`<time datetime="` + s.At + `" title="` + s.Exact + `">` + s.Near + `</time>`), nil
}

// jobLink is the link to a job of the app.
func jobLink(base, app, id, function string) template.HTML {
	to := base + "/apps/" + url.PathEscape(app) + "/jobs/" + url.PathEscape(id)
	return template.HTML(`<a href="` + template.HTMLEscapeString(to) + `"><code>` + template.HTMLEscapeString(function) + `</code></a>`)
}

// state is that of a job.
func state(s api.State) template.HTML {
	text := template.HTMLEscapeString(string(s))
	return template.HTML(`<span class="state ` + text + `">` + text + `</span>`)
}

// share is how many of a hundred of all the part is.
func share(part, all int64) string {
	switch {
	case part == 0:
		return "0 %"
	case part*1000 < all:
		return "< 0.1 %"
	}
	return strconv.FormatFloat(float64(part)*100/float64(all), 'f', 1, 64) + " %"
}

// sentence is the text with a capital and a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}

// short is a time of so many milliseconds; of none it is a dash.
func short(ms float64) string {
	if ms == 0 {
		return "–"
	}
	return amount(ms) + " ms"
}

// span is the length of time in its largest unit, rounded down.
func span(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{365 * 24 * time.Hour, "y"}, {24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d >= u.of {
			return fmt.Sprintf("%d %s", d/u.of, u.name)
		}
	}
	return fmt.Sprintf("%d ms", d/time.Millisecond)
}
