package crash_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/storage"
)

// saidKind says what a line of a worker's journal is about.
type saidKind string

// The kinds.
const (
	saidDoes   saidKind = "does"   // a call is about to be made
	saidAcked  saidKind = "acked"  // it was acknowledged
	saidFailed saidKind = "failed" // it has returned an error
	saidSaw    saidKind = "saw"    // a query has shown a job at its end, or a mark
	saidSent   saidKind = "sent"   // an action has had its effect on the world outside
	saidTold   saidKind = "told"   // a watch has told of a job
	saidSaved  saidKind = "saved"  // an action has saved how far it has come
	saidFails  saidKind = "fails"  // it is about to fail
	saidAsked  saidKind = "asked"  // it has a token, the answer, by which it ends
	saidDone   saidKind = "done"   // it is about to return
	saidQuit   saidKind = "quit"   // the worker gives up, because the engine does not open
	saidEnd    saidKind = "end"    // the worker has done all it had to do
)

// said is a line of the journal that a worker keeps. The journal goes through a
// pipe to whoever started the worker, with one write a line: it is the world
// outside, and survives whatever becomes of the worker and its disk.
type said struct {
	Kind    saidKind      `json:"kind"`
	Key     string        `json:"key,omitempty"`     // names app and call
	Job     storage.JobID `json:"job,omitempty"`     // that the call has made, or that ran
	Attempt int           `json:"attempt,omitempty"` // of the job
	Answer  string        `json:"answer,omitempty"`  // or the error's code, or the state that was seen
	Of      string        `json:"of,omitempty"`      // of a checkpoint: the key that it says
	At      time.Time     `json:"at"`                // by the worker's wall clock
	Now     time.Time     `json:"now,omitzero"`      // when the action's attempt began
	Life    int           `json:"-"`                 // of the workers; the verifier's is their number
}

// app is the app that the said's key names.
func (d said) app() storage.AppID {
	app, _, _ := strings.Cut(d.Key, "/")
	return storage.AppID(app)
}

// trace is what is known of a worker's life, or of several on one directory.
type trace []said

// parseTrace reads what workers wrote. A last line without an end was never said.
func parseTrace(out []byte) (j trace, err error) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "{") {
			continue // the test binary's own words
		}
		var d said
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		j = append(j, d)
	}
	return j, nil
}

// has says whether there is a line of the kind.
func (j trace) has(kind saidKind) bool {
	return slices.ContainsFunc(j, func(d said) bool { return d.Kind == kind })
}

// end is the latest instant that the worker's clock is known to have shown.
func (j trace) end() time.Time {
	end := workerBase
	for _, d := range j {
		if d.At.After(end) {
			end = d.At
		}
	}
	return end
}

// lives is how many there were.
func (j trace) lives() (n int) {
	for _, d := range j {
		n = max(n, d.Life+1)
	}
	return n
}

// diary is a journal that is being written, by any number of goroutines.
type diary struct {
	mu    sync.Mutex
	lines trace
}

func (d *diary) note(line said) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}
