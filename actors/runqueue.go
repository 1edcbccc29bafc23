package actors

import "slices"

// runQueue holds the claimed jobs that wait for their instant or a permit, in the order
// jobs start: by due instant, then sequence (G13). Claims become durable nearly
// in that order, so most are put at the end.
type runQueue struct{ runs []*run }

func (q *runQueue) len() int { return len(q.runs) }

func (q *runQueue) first() *run { return q.runs[0] }

func (q *runQueue) push(r *run) {
	n := len(q.runs)
	if n > 0 && startsBefore(r, q.runs[n-1]) {
		n, _ = slices.BinarySearchFunc(q.runs, r, func(other, r *run) int {
			if startsBefore(other, r) {
				return -1
			}
			return 1
		})
	}
	q.runs = slices.Insert(q.runs, n, r)
}

// pop takes the first away.
func (q *runQueue) pop() *run {
	r := q.runs[0]
	q.runs[0] = nil
	if q.runs = q.runs[1:]; len(q.runs) == 0 {
		q.runs = nil
	}
	return r
}

func startsBefore(r, other *run) bool {
	return r.job.Place().Less(other.job.Place())
}
