package cron

import (
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // so that a host without a zone database has the same zones
)

// zones keeps the zones that were loaded. It is a memo, not state: a zone is
// several kilobytes, and ten thousand apps with the same trigger must share
// one. It holds only names that exist, so it cannot grow past the database.
var zones sync.Map // zone name -> *time.Location

// loadZone returns the zone with an IANA name; "" is UTC. A zone database on the
// host goes before the embedded one, as package time has it, so that a host can
// have newer rules than the binary.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location), nil
	}
	if why := notIANA(name); why != "" {
		return nil, fault(why)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, faultf("%q is not a known IANA zone%s", name, nearZone(name))
	}
	if name == "UTC" {
		loc = time.UTC
	}
	kept, _ := zones.LoadOrStore(name, loc)
	return kept.(*time.Location), nil
}

// nearZone is the hint at a zone whose name differs from name in case only, or "".
// The database has no list of its names, so the cases that names have are tried.
func nearZone(name string) string {
	word := func(s string) string {
		if s == "" {
			return s
		}
		return strings.ToUpper(s[:1]) + strings.ToLower(s[1:])
	}
	title := func(s string) string { // new_york is New_York, port-of-spain Port-Of-Spain
		var out strings.Builder
		for _, part := range strings.SplitAfter(strings.NewReplacer("/", "/\x00", "_", "_\x00", "-", "-\x00").Replace(s), "\x00") {
			out.WriteString(word(strings.TrimSuffix(part, "\x00")))
		}
		return out.String()
	}
	area, rest, _ := strings.Cut(name, "/")
	for _, try := range []string{strings.ToUpper(name), title(name), strings.ToUpper(area) + "/" + title(rest), word(area) + "/" + strings.ToUpper(rest)} {
		if _, err := time.LoadLocation(try); err == nil && try != name {
			return "; did you mean " + try + "?"
		}
	}
	return ""
}

// notIANA says what is wrong with a name that time.LoadLocation might accept
// although it would not mean the same on every machine.
func notIANA(name string) string {
	switch {
	case len(name) > 64:
		return "a zone name has at most 64 bytes"
	case strings.EqualFold(name, "Local"), strings.EqualFold(name, "localtime"), strings.EqualFold(name, "posixrules"):
		return "the machine's own zone is not allowed: name an IANA zone"
	case strings.HasPrefix(name, "posix/"), strings.HasPrefix(name, "right/"):
		return "name the zone without " + name[:5] + "/"
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '/' || c == '_' || c == '-' || c == '+':
		default:
			return "a zone is an IANA name such as Europe/Rome"
		}
	}
	return ""
}

// stretch is a span of time in which a zone keeps one UTC offset. It need not
// be the longest such span: two neighbours may have the same offset.
type stretch struct {
	off        int64 // seconds east of UTC
	start, end int64 // Unix seconds, start inclusive, end exclusive
}

// Bounds of a stretch that has none. They leave room to add offsets.
const (
	noStart = -1 << 62
	noEnd   = 1 << 62
)

// stretchAt is a stretch around the instant u. Invariant: start <= u < end.
func stretchAt(loc *time.Location, u int64) stretch {
	t := time.Unix(u, 0).In(loc)
	_, off := t.Zone()
	from, to := t.ZoneBounds()
	s := stretch{off: int64(off), start: noStart, end: noEnd}
	if !from.IsZero() {
		s.start = from.Unix()
	}
	if !to.IsZero() {
		s.end = to.Unix()
	}
	if s.end <= u {
		// Where a zone is described by a yearly rule, ZoneBounds ends the last
		// stretch of a year after 365 days. That leaves out the last UTC day of
		// a leap year, on which it then answers with an end in the past.
		s.end = (floorDiv(u, daySeconds) + 1) * daySeconds
	}
	return s
}
