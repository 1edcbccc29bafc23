package cron

import (
	"fmt"
	"strings"
	"time"
)

// Bounds of what can be declared. Each is the largest (or smallest) value that
// is accepted.
const (
	// MaxText is the longest spec text, in bytes.
	MaxText = 256
	// MinEvery is the shortest interval.
	MinEvery = time.Second
	// MaxEvery is the longest interval: 45 years of 365 days, the same horizon
	// within which a calendar spec must have an occurrence.
	MaxEvery = horizonYears * 365 * 24 * time.Hour
)

// Spec is a declared cadence that has not been checked yet. It is cheap to
// build and cannot fail, so it can stand in a composite literal; Compile says
// whether it is any good. Its whole content is one text, which is what a
// trigger's record stores: Expr(s.String()) is s again.
//
// The zero Spec is refused by Compile.
type Spec struct {
	text string
}

// Expr is a cron expression of five fields, or six with seconds first, or one
// of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and
// "@every <duration>". The package comment has the grammar.
func Expr(text string) Spec {
	return Spec{text: text}
}

// Every is a fixed interval of elapsed time. Its slots are anchor + k*d, where
// the anchor is given with Schedule.WithAnchor and is the Unix epoch if it is
// not. It knows no clock changes: Every(24*time.Hour) drifts against the wall
// clock twice a year, Daily does not.
func Every(d time.Duration) Spec {
	return Spec{text: everyPrefix + d.String()}
}

// Hourly is once an hour, at the given minute.
func Hourly(minute int) Spec {
	return Spec{text: fmt.Sprintf("%d * * * *", minute)}
}

// Daily is once a day, at the given time.
func Daily(hour, minute int) Spec {
	return Spec{text: fmt.Sprintf("%d %d * * *", minute, hour)}
}

// Weekly is once a week, on the given day at the given time.
func Weekly(day time.Weekday, hour, minute int) Spec {
	return Spec{text: fmt.Sprintf("%d %d * * %d", minute, hour, int(day))}
}

// Monthly is once in every month that has the given day, at the given time.
// For the last day of every month, whichever it is, use Expr("0 0 L * *").
func Monthly(day, hour, minute int) Spec {
	return Spec{text: fmt.Sprintf("%d %d %d * *", minute, hour, day)}
}

// String is the text of the spec with its white space made single. Two specs
// with the same String have the same slots in the same zone, so it is the form
// to store and to compare.
func (s Spec) String() string {
	return strings.Join(strings.Fields(s.text), " ")
}
