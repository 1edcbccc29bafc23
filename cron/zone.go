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

// oddZones are the names whose case follows no rule.
var oddZones = []string{
	"Africa/Dar_es_Salaam", "America/Argentina/ComodRivadavia", "America/Knox_IN", "America/Port-au-Prince", "America/Port_of_Spain",
	"Antarctica/DumontDUrville", "Antarctica/McMurdo", "Brazil/DeNoronha", "Chile/EasterIsland", "Europe/Isle_of_Man", "GB-Eire",
	"Mexico/BajaNorte", "Mexico/BajaSur",
}

// nearZone is the hint at a zone whose name differs from name in case only, or "".
// The database has no list of its names, so the cases that names have are tried.
func nearZone(name string) string {
	upper, title := strings.ToUpper(name), titled(name)
	area, rest, _ := strings.Cut(name, "/")
	tries := []string{upper, title, strings.ToUpper(area) + "/" + titled(rest), titled(area) + "/" + strings.ToUpper(rest)}
	for _, odd := range oddZones {
		if strings.EqualFold(odd, name) {
			tries = []string{odd}
		}
	}
	for _, try := range tries {
		if _, err := time.LoadLocation(try); err == nil && try != name {
			return "; did you mean " + try + "?"
		}
	}
	return ""
}

// titled writes each word of a name, which is ASCII, with one capital: new_york as
// New_York, port-of-spain as Port-Of-Spain.
func titled(name string) string {
	text := []byte(strings.ToLower(name))
	for i, c := range text {
		if 'a' <= c && c <= 'z' && (i == 0 || strings.IndexByte("/_-", text[i-1]) >= 0) {
			text[i] = c - 'a' + 'A'
		}
	}
	return string(text)
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
