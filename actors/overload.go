package actors

import (
	"errors"
	"time"

	"carillon/dispatch"
)

// This file is shedding: what a client, the host or an action asks for is refused
// before it has begun, while more waits for its volume's committer than is done in
// about a second (storage.App.Overloaded). Queries are not, nor what ends what was
// begun (completions, cancels, drops) or is due: claims, ticks, jobs.

// errShed is the cause of a refusal.
var errShed = errors.New("more is asked of the volume than it can write")

// shedFor is when a caller that was refused may come again.
const shedFor = time.Second

func errOverloaded(path string) error {
	return &dispatch.Error{
		Code: dispatch.CodeUnavailable, Path: path, RetryAfter: shedFor, Err: errShed,
		Message: errShed.Error() + "; nothing was changed: try again later",
	}
}

// overloaded says whether the app takes no more changes now, and counts those refused.
func (app *appState) overloaded() bool {
	if !app.store.Overloaded() {
		return false
	}
	app.eng.shed.Add(1)
	return true
}
