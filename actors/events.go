package actors

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events. Those from EventScheduled to EventPurged are changes, and durable.
const (
	EventReset EventKind = "reset" // forget what was told before, since Reason: a snapshot follows
	EventJob   EventKind = "job"   // a job of the snapshot
	EventReady EventKind = "ready" // that was the snapshot, as of Position: changes follow

	EventScheduled   EventKind = "scheduled"   // the job is new
	EventRescheduled EventKind = "rescheduled" // its instant, its arguments or its priority are others
	EventRetried     EventKind = "retried"     // it is pending again: after an attempt, or a person has retried it
	EventOutside     EventKind = "outside"     // its handler has returned, and its end comes from outside, by Job.Due
	EventAnswered    EventKind = "answered"    // its end has come from outside, and counts when its handler has returned
	EventHeld        EventKind = "held"        // this program cannot run it
	EventReleased    EventKind = "released"    // it was held, and is pending again
	EventEnded       EventKind = "ended"       // as a success, or dead: Job.State
	EventCanceled    EventKind = "canceled"
	EventExpired     EventKind = "expired"   // it was not begun in time
	EventCorrected   EventKind = "corrected" // its state is the same, its instants were put right after a step of the clock
	EventPurged      EventKind = "purged"    // it is kept no more, or was dropped: Job is as it was

	EventStarted    EventKind = "started"    // its handler begins; ephemeral
	EventProgressed EventKind = "progressed" // its handler has told how far it is; ephemeral
)

// Event is what App.Watch tells.
type Event struct {
	Kind     EventKind
	Position Position // of a change, and of EventReady; zero: the event is no place to go on from
	// Job is the job as it is now, but for its Args, Result, History, Claims, Then and
	// Outcome, and what it waits for while it is pending: Get has all of it. Jobs are told
	// apart by Job.Seq: a chosen id may be given to a later one. Of EventProgressed it has the
	// Progress, the State, and what stays the same for its life.
	Job storage.Job
	// Left says that the filter chooses the job no more: its state is another, or it is gone.
	Left bool
	// Reason says why everything is told anew; of EventReset.
	Reason string
}

// Ephemeral says whether the event may be left out, and is not told again after a
// resumption: it is of what is not durable.
func (e *Event) Ephemeral() bool { return e.Kind == EventStarted || e.Kind == EventProgressed }

// Lagged says whether everything is told anew because the loop was too slow.
func (e *Event) Lagged() bool { return e.Kind == EventReset && e.Reason == resetLagged }

// Position is where in an app's changes an event stands: the commit, one of those of the
// app's volume, and which of the app's changes in it. They ascend in the order of the
// commits, over restarts, too. Feed is the memory that a watch can go on from: it ends a
// minute after the last watch of the app, or with more than is kept, and with the process.
type Position struct {
	Feed   uint64
	Commit uint64
	Index  uint32
	// Log is not 0 where another node of a store whose log is shared can go on from there, or this
	// one without that memory: behind a snapshot, and behind the last change of the app in a commit.
	Log uint64
}

// IsZero says whether it is no position.
func (p Position) IsZero() bool { return p == Position{} }

// Compare orders positions of one app, whatever their Feed is.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Commit, q.Commit), cmp.Compare(p.Index, q.Index))
}

// String is the position as text, which ParsePosition reads.
func (p Position) String() string {
	text := fmt.Sprintf("%x.%d.%d", p.Feed, p.Commit, p.Index)
	if p.Log != 0 {
		text += fmt.Sprintf(".%x", p.Log)
	}
	return text
}

// ParsePosition reads what Position.String has made. The error is invalid_argument.
func ParsePosition(text string) (p Position, err error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 && len(parts) != 4 {
		return Position{}, errPosition(text)
	}
	var index uint64
	for i, to := range []*uint64{&p.Feed, &p.Commit, &index, &p.Log}[:len(parts)] {
		base, size := 10, 64
		switch i {
		case 0, 3:
			base = 16
		case 2:
			size = 32
		}
		if *to, err = strconv.ParseUint(parts[i], base, size); err != nil {
			return Position{}, errPosition(text)
		}
	}
	p.Index = uint32(index)
	return p, nil
}

func errPosition(text string) error {
	return dispatch.Errorf(dispatch.CodeInvalidArgument, "%.64q is no position of an event", text)
}

// endOf is behind all changes of the commit.
func endOf(feed uint64, m storage.CommitMark) Position {
	return Position{Feed: feed, Commit: m.Commit, Index: math.MaxUint32, Log: logOf(m)}
}

// logOf is what a Position has of a mark beside the commit.
func logOf(m storage.CommitMark) uint64 { return uint64(m.Chain)<<32 | uint64(m.Seq) }

// mark is the mark that the position was made of.
func (p Position) mark() storage.CommitMark {
	if p.Log == 0 {
		return storage.CommitMark{}
	}
	return storage.CommitMark{Commit: p.Commit, Chain: uint32(p.Log >> 32), Seq: uint32(p.Log)}
}

// kindOf says what has become of a job that was in the state.
func kindOf(c *storage.JobChange, job *storage.Job, was storage.State) EventKind {
	switch {
	case c.Gone:
		return EventPurged
	case job.State == storage.StatePending && was == "":
		return EventScheduled
	case job.State == storage.StatePending && was == storage.StateHeld:
		return EventReleased
	case job.State == storage.StatePending && (c.Retried || was == storage.StateFailed):
		return EventRetried
	case job.State == storage.StatePending && job.PendingOutside():
		return EventOutside
	case job.State == storage.StatePending && job.Answer() != nil:
		return EventAnswered
	case job.State == storage.StatePending:
		return EventRescheduled
	case job.State == was:
		return EventCorrected
	case job.State == storage.StateHeld:
		return EventHeld
	case job.State == storage.StateCanceled:
		return EventCanceled
	case job.State == storage.StateExpired:
		return EventExpired
	}
	return EventEnded
}

// change is a change of a job as all who watch are told it, made once for all.
type change struct {
	event Event
	was   storage.State
	nth   uint64 // of an ephemeral one: among all that the feed was given
}

// changeOf makes the change at the position. ok is false if its record cannot be read.
func changeOf(at Position, c *storage.JobChange) (ch *change, ok bool) {
	ch = &change{event: Event{Position: at}}
	job := &ch.event.Job
	if c.Job(job) != nil {
		return nil, false
	}
	ch.was = c.Was(job)
	ch.event.Kind = kindOf(c, job, ch.was)
	return ch, true
}

// chosenBy says whether those who watch with the filter are told: the filter chooses the job,
// or has chosen it before.
func (ch *change) chosenBy(f *storage.JobFilter) bool {
	return f.Concerns(&ch.event.Job) && (!ch.event.leaves(f) || ch.was != "" && wants(f, ch.was))
}

// leaves says whether the filter does not choose the job of the event, as it is now.
func (e *Event) leaves(f *storage.JobFilter) bool {
	return e.Kind == EventPurged || !(len(f.States) == 0 || slices.Contains(f.States, e.Job.State))
}

// wants says whether the filter chooses a job that was in the state, as far as what is
// durable tells: one that was pending may have run.
func wants(f *storage.JobFilter, was storage.State) bool {
	return len(f.States) == 0 || slices.Contains(f.States, was) ||
		was == storage.StatePending && slices.Contains(f.States, storage.StateRunning)
}

// to is the event as those are told who watch with the filter. It may be that of all.
func (ch *change) to(f *storage.JobFilter) *Event {
	if !ch.event.leaves(f) {
		return &ch.event
	}
	e := ch.event
	e.Left = true
	return &e
}
