package sample

import (
	"math"
	"time"

	"carillon/dispatch"
)

// maxText bounds the short texts that callers give, in bytes.
const maxText = 1000

// maxDelay is the longest delay that a time.Duration can hold, in milliseconds:
// about 292 years.
const maxDelay = math.MaxInt64 / int64(time.Millisecond)

// checkText refuses a text that is empty or too long.
func checkText(field, text string) error {
	switch {
	case text == "":
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is empty", field)
	case len(text) > maxText:
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is %d bytes long, want at most %d", field, len(text), maxText)
	}
	return nil
}

// checkCount refuses a number that is out of its bounds.
func checkCount(field string, n, least, most int) error {
	if n < least || n > most {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is %d, want %d to %d", field, n, least, most)
	}
	return nil
}

// milliseconds is the delay that a caller gave.
func milliseconds(field string, ms int64) (time.Duration, error) {
	if ms < 0 || ms > maxDelay {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is %d, want 0 to %d", field, ms, maxDelay)
	}
	return time.Duration(ms) * time.Millisecond, nil
}
