package actors

import (
	"slices"
	"time"
)

// runQueue holds the claimed jobs that wait for their instant or a permit. Those that
// are due are in the order they start: by rank, which of one priority is by due instant,
// then sequence (G13, G31). Claims become durable nearly in that order, so most are
// put at the end.
type runQueue struct {
	ahead []*run // by place
	due   []*run // by rank
	at    time.Time
}

func (q *runQueue) len() int { return len(q.ahead) + len(q.due) }

// first is the first of those that are due, or of those that are not yet.
func (q *runQueue) first() *run {
	if len(q.due) > 0 {
		return q.due[0]
	}
	return q.ahead[0]
}

func (q *runQueue) push(r *run) { q.ahead = insert(q.ahead, r, dueBefore) }

// ripen sorts out which are due at the instant. The wall may have been stepped back.
func (q *runQueue) ripen(wall time.Time) {
	if wall.Before(q.at) {
		late := q.due
		q.due = nil
		for _, r := range late {
			q.push(r)
		}
	}
	q.at = wall
	n := 0
	for ; n < len(q.ahead) && !q.ahead[n].job.Due.After(wall); n++ {
		q.due = insert(q.due, q.ahead[n], startsBefore)
		q.ahead[n] = nil
	}
	if q.ahead = q.ahead[n:]; len(q.ahead) == 0 {
		q.ahead = nil
	}
}

// pop takes the first of those away that are due.
func (q *runQueue) pop() *run {
	r := q.due[0]
	q.due[0] = nil
	if q.due = q.due[1:]; len(q.due) == 0 {
		q.due = nil
	}
	return r
}

// remove takes the runs away that are such ones, and returns them.
func (q *runQueue) remove(is func(*run) bool) (removed []*run) {
	for _, list := range []*[]*run{&q.ahead, &q.due} {
		*list = slices.DeleteFunc(*list, func(r *run) bool {
			if !is(r) {
				return false
			}
			removed = append(removed, r)
			return true
		})
	}
	return removed
}

// insert puts the run where it belongs in a sorted list.
func insert(list []*run, r *run, before func(r, other *run) bool) []*run {
	n := len(list)
	if n > 0 && before(r, list[n-1]) {
		n, _ = slices.BinarySearchFunc(list, r, func(other, r *run) int {
			if before(other, r) {
				return -1
			}
			return 1
		})
	}
	return slices.Insert(list, n, r)
}

func dueBefore(r, other *run) bool { return r.job.Place().Less(other.job.Place()) }

func startsBefore(r, other *run) bool { return other.job.OvertakenBy(&r.job) }
