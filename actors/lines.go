package actors

import (
	"log/slog"
	"sync"

	"carillon/dispatch"
	"carillon/storage"
)

// runLog is the last lines that the attempt of a job has logged, and what it has failed of. Handlers log from their own
// goroutines; the lock is a leaf.
type runLog struct {
	run *run

	mu      sync.Mutex
	over    bool // the attempt is
	lines   []storage.LogLine
	dropped int
	cause   string
	stack   string
	unsaved bool // there is something that no transaction has been given
}

// add implements dispatch.Lines. Those of an action are written down within a second, and at most
// once a second; those of a mutation, which is short, with its end.
func (l *runLog) add(level slog.Level, text string) {
	at := l.run.app.eng.clock.now()
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	if len(l.lines) == storage.MaxLogLines {
		l.lines = append(l.lines[:0], l.lines[1:]...)
		l.dropped++
	}
	l.lines = append(l.lines, storage.LogLine{At: at, Level: int(level), Text: text})
	l.unsaved = true
	l.mu.Unlock()
	if n := l.run.notes; n != nil {
		n.logged()
	}
}

// fail keeps what the attempt has failed of.
func (l *runLog) fail(err error) {
	cause, stack := dispatch.CauseOf(err)
	if l == nil || cause == "" && stack == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cause, l.stack, l.unsaved = cause, stack, true
}

// take is the lines to be stored, if there are any that were not given to a transaction. With end it
// ends the log, and answers the same once more: the transaction of an end may be another one.
func (l *runLog) take(end bool) (log storage.AttemptLog, ok bool) {
	if l == nil {
		return log, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = l.over || end
	if !l.unsaved {
		return log, false
	}
	l.unsaved = end
	return storage.AttemptLog{Attempt: l.run.attempt, Dropped: l.dropped, Lines: append([]storage.LogLine(nil), l.lines...), Cause: l.cause, Stack: l.stack}, true
}

// giveBack has lines be stored again that may not have been.
func (l *runLog) giveBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaved = true
}

// saveLog stores what the attempt has logged that ends in the transaction, and what err says it has failed
// of. That it cannot is no reason for the job not to end.
func (app *appState) saveLog(tx *storage.Tx, r *run, end storage.End, err error) {
	if end.Error != nil && !end.Interrupted {
		r.log.fail(err)
	}
	log, ok := r.log.take(true)
	if !ok {
		return
	}
	if _, err := tx.SaveLastLog(&r.job, log); err != nil {
		app.eng.opts.Logger.Warn("the last lines of an attempt are lost", app.attrsOf(&r.job, "err", err)...)
	}
}
