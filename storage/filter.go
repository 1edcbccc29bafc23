package storage

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// JobFilter chooses jobs: those that meet every condition it has. It is the one
// filter, for listings as for what is done to many jobs at once. The zero filter is
// every job of the app: pending and running ones by due instant, then held ones in
// the order they came to be, then dead, then finished ones, each in the order they ended.
type JobFilter struct {
	ID        JobID     `json:"id,omitempty"`        // only this job; "" means all jobs
	States    []State   `json:"states,omitempty"`    // none means all
	Function  string    `json:"function,omitempty"`  // path; "" means every function
	Trigger   string    `json:"trigger,omitempty"`   // the ticks and runs by hand of a trigger; "" means all jobs
	Parent    JobID     `json:"parent,omitempty"`    // only jobs that this one has scheduled; "" means all jobs
	Group     GroupID   `json:"group,omitempty"`     // only members of the group; 0 means all jobs
	Error     string    `json:"error,omitempty"`     // code of the latest error; "" means any, and none
	Tags      []string  `json:"tags,omitempty"`      // only jobs that have all of them; see CheckTags
	Pool      string    `json:"pool,omitempty"`      // only jobs of the pool; "" means all jobs
	PoolKey   string    `json:"poolKey,omitempty"`   // only jobs whose key in the pool begins so
	UniqueKey string    `json:"uniqueKey,omitempty"` // only jobs of this unique key, whatever their function; "" means all jobs
	Due       TimeRange `json:"due,omitzero"`        // instant of the next attempt, or of the last one
	Ended     TimeRange `json:"ended,omitzero"`      // only jobs that have ended have this one
	Priority  int       `json:"priority,omitempty"`  // 1 to 4; 0 means every one

	// Only jobs whose id, or whose arguments as they are stored, have this text in them: up to
	// MaxContains bytes. "" means all jobs. There is no index of it: see System.Scan.
	IDContains   string `json:"idContains,omitempty"`
	ArgsContains string `json:"argsContains,omitempty"`

	// Of a listing:
	Limit  int    `json:"limit,omitempty"`  // rows a page, 1 to 1,000, fewer if they are large; 0 means 100
	Cursor string `json:"cursor,omitempty"` // Next of the page before; "" is the first page
	Desc   bool   `json:"desc,omitempty"`   // the order in each of the regions is turned around
}

// TimeRange is the instants from From on and before Before. A zero one is no bound.
type TimeRange struct {
	From   time.Time `json:"from,omitzero"`
	Before time.Time `json:"before,omitzero"`
}

// MaxContains bounds JobFilter.IDContains and ArgsContains, in bytes.
const MaxContains = 256

// JobPage is one page of a listing.
type JobPage struct {
	Jobs   []Job
	Next   string // cursor of the next page; "" means there is none
	Looked Looked // how far the listing has looked, chosen or not
}

// Looked is how far a page has looked.
type Looked struct {
	Jobs int       // rows read for it
	In   Region    // where the last of them lies; "" if there was none
	To   time.Time // by which that is sorted there: when it is due, or was held, or about when it has ended
}

// Region is one of the places where jobs lie. A listing goes through them in this order.
type Region string

// The regions.
const (
	RegionOpen     Region = "open"     // pending and running
	RegionHeld     Region = "held"     // held
	RegionDead     Region = "dead"     // failed
	RegionFinished Region = "finished" // success, canceled and expired
)

var regionNames = map[tag]Region{tagQueue: RegionOpen, tagHeld: RegionHeld, tagDead: RegionDead, tagHistory: RegionFinished}

// Check says what is wrong with the filter, with ErrInvalid, or nil.
func (f *JobFilter) Check() error {
	if f.Limit < 0 || f.Limit > maxPage {
		return fmt.Errorf("%w: limit %d, want 1 to %d", ErrInvalid, f.Limit, maxPage)
	}
	for _, s := range f.States {
		if s != StatePending && s != StateRunning && s != StateHeld && !s.Ended() {
			return fmt.Errorf("%w: unknown state %s, want pending, running, held, success, failed, canceled or expired", ErrInvalid, quote(string(s)))
		}
	}
	if err := CheckTags(f.Tags); err != nil {
		return err
	}
	if f.UniqueKey != "" {
		if err := checkKey("unique key", f.UniqueKey); err != nil {
			return err
		}
	}
	if f.Priority < 0 || f.Priority > MaxPriority {
		return fmt.Errorf("%w: priority %d, want %d to %d", ErrInvalid, f.Priority, MinPriority, MaxPriority)
	}
	for _, part := range []string{f.IDContains, f.ArgsContains} {
		if len(part) > MaxContains {
			return fmt.Errorf("%w: a text of %d bytes is looked for, want at most %d", ErrInvalid, len(part), MaxContains)
		}
	}
	if err := f.Due.check("due"); err != nil {
		return err
	}
	return f.Ended.check("ended")
}

func (r TimeRange) check(name string) error {
	if r.From.IsZero() || r.Before.IsZero() || r.From.Before(r.Before) {
		return nil
	}
	return fmt.Errorf("%w: %s: from %s is not before %s", ErrInvalid, name, r.From.Format(time.RFC3339Nano), r.Before.Format(time.RFC3339Nano))
}

// Chooses says whether the job, as readers see it, meets every condition.
func (f *JobFilter) Chooses(job *Job) bool {
	return f.wants(job.State) && f.Concerns(job) &&
		(f.Error == "" || job.Error != nil && job.Error.Code == f.Error) &&
		f.Due.has(job.Due) &&
		(f.Priority == 0 || job.Priority == f.Priority) &&
		bytes.Contains(job.Args, []byte(f.ArgsContains)) &&
		(f.Ended == TimeRange{} || job.State.Ended() && f.Ended.has(job.CompletedAt))
}

// Concerns says whether the job meets the conditions that hold for its life: all but those on
// its state, its error, its instants, its priority and its arguments. For engines.
func (f *JobFilter) Concerns(job *Job) bool {
	return (f.ID == "" || job.ID == f.ID) && strings.Contains(string(job.ID), f.IDContains) &&
		(f.Function == "" || job.Function == f.Function) &&
		(f.Trigger == "" || job.Trigger == f.Trigger) &&
		(f.Parent == "" || job.Parent == f.Parent) &&
		(f.Group == 0 || job.Group == f.Group) &&
		hasTags(job, f.Tags) &&
		(f.Pool == "" || job.Pool == f.Pool) && strings.HasPrefix(job.PoolKey, f.PoolKey) &&
		(f.UniqueKey == "" || job.Unique != nil && job.Unique.Key == f.UniqueKey)
}

func (f *JobFilter) wants(s State) bool {
	return len(f.States) == 0 || slices.Contains(f.States, s)
}

// wantsRegion says whether jobs that are chosen can lie in the region.
func (f *JobFilter) wantsRegion(t tag) bool {
	switch t {
	case tagQueue:
		return f.Ended == TimeRange{} && (f.wants(StatePending) || f.wants(StateRunning))
	case tagHeld:
		return f.Ended == TimeRange{} && f.wants(StateHeld)
	case tagDead:
		return f.wants(StateFailed)
	default:
		return f.wants(StateSuccess) || f.wants(StateCanceled) || f.wants(StateExpired)
	}
}

// keys returns where in the region the jobs lie that can be chosen: [from, to). The
// rank of a job that has ended is never before the instant it ended.
func (f *JobFilter) keys(n keyspace, t tag) (from, to []byte) {
	r := TimeRange{From: f.Ended.From}
	switch t {
	case tagQueue:
		r = f.Due
	case tagHeld:
		r = TimeRange{}
	}
	from, to = n.prefix(t), after(n.prefix(t))
	if !r.From.IsZero() {
		from = n.place(t, place{ms: ceilMs(r.From)})
	}
	if !r.Before.IsZero() {
		to = n.place(t, place{ms: ceilMs(r.Before)})
	}
	return from, to
}

func (r TimeRange) has(t time.Time) bool {
	return (r.From.IsZero() || !t.Before(r.From)) && (r.Before.IsZero() || t.Before(r.Before))
}

// ceilMs is the first stored instant that is not before t, in ms.
func ceilMs(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) && ms < math.MaxInt64 {
		ms++
	}
	return max(ms, 0)
}
