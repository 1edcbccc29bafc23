package proof

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// Tally counts the cases that a method has tried and what it has found. Its
// methods may be called from any goroutine of the test.
type Tally struct {
	tb     testing.TB
	method string
	began  time.Time

	tried, lost, doubled, early, leaked, other atomic.Int64
}

// NewTally begins the count of a method, whose name is a row of the report. The
// row is appended to the file named by CARILLON_PROOF_REPORT, if that is set,
// when the test ends. With CARILLON_PROOF=later the test is skipped: what sets
// that runs .ci/proof afterwards, which has more of each method.
func NewTally(tb testing.TB, method string) *Tally {
	if os.Getenv("CARILLON_PROOF") == "later" {
		tb.Skip("the proof comes later")
	}
	t := &Tally{tb: tb, method: method, began: time.Now()}
	tb.Cleanup(t.report)
	return t
}

// Tried counts n cases.
func (t *Tally) Tried(n int) { t.tried.Add(int64(n)) }

// Lost notes something acknowledged that is gone, or was never run.
func (t *Tally) Lost(format string, args ...any) { t.found(&t.lost, "lost", format, args) }

// Doubled notes an effect that happened more often than it may.
func (t *Tally) Doubled(format string, args ...any) { t.found(&t.doubled, "doubled", format, args) }

// Early notes something that ran before its instant.
func (t *Tally) Early(format string, args ...any) { t.found(&t.early, "early", format, args) }

// Leaked notes what crossed from app to app, or was not given back.
func (t *Tally) Leaked(format string, args ...any) { t.found(&t.leaked, "leaked", format, args) }

// Other notes any other break of a guarantee.
func (t *Tally) Other(format string, args ...any) { t.found(&t.other, "other", format, args) }

func (t *Tally) found(n *atomic.Int64, what, format string, args []any) {
	t.tb.Helper()
	n.Add(1)
	t.tb.Errorf("%s: %s: %s", t.method, what, fmt.Sprintf(format, args...))
}

// report appends the method's row: tab-separated, in the order of the table. A
// test that failed without a finding counts as one of another kind.
func (t *Tally) report() {
	if t.tried.Load() == 0 && !t.tb.Skipped() {
		t.Other("nothing was tried")
	}
	found := t.lost.Load() + t.doubled.Load() + t.early.Load() + t.leaked.Load() + t.other.Load()
	if t.tb.Failed() && found == 0 {
		t.other.Add(1)
	}
	name := os.Getenv("CARILLON_PROOF_REPORT")
	if name == "" || t.tb.Skipped() {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.tb.Errorf("the report: %v", err)
		return
	}
	_, err = fmt.Fprintf(f, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\n", t.method,
		t.tried.Load(), t.lost.Load(), t.doubled.Load(), t.early.Load(), t.leaked.Load(), t.other.Load(),
		time.Since(t.began).Seconds())
	if closed := f.Close(); err != nil || closed != nil {
		t.tb.Errorf("the report: %v, %v", err, closed)
	}
}

// For returns for how long a method is to go on. In the long form
// CARILLON_PROOF_FOR may bound it, so that a part of the hours can be run.
func For(smoke, short, long time.Duration) time.Duration {
	if bound := os.Getenv("CARILLON_PROOF_FOR"); bound != "" {
		d, err := time.ParseDuration(bound)
		if err != nil {
			panic("CARILLON_PROOF_FOR: " + err.Error())
		}
		long = min(long, d)
	}
	return Pick(smoke, short, long)
}

// Seed returns the seed of a random method, unless CARILLON_PROOF_SEED is set to
// that of a finding.
func Seed(seed int) int {
	if set := os.Getenv("CARILLON_PROOF_SEED"); set != "" {
		n, err := strconv.Atoi(set)
		if err != nil {
			panic("CARILLON_PROOF_SEED: " + err.Error())
		}
		return n
	}
	return seed
}

// Pick returns the size for the form that is asked for.
func Pick[T any](smoke, short, long T) T {
	switch form := os.Getenv("CARILLON_PROOF"); form {
	case "", "later":
		return smoke
	case "short":
		return short
	case "long":
		return long
	default:
		panic("CARILLON_PROOF is " + form + ": want short, long or later")
	}
}
