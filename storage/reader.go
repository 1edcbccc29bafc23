package storage

import "iter"

// Reader reads one app's state at one point of its history: all that was
// committed before, and, inside a mutation, the mutation's own writes. It is
// sealed: package storage makes the only ones.
type Reader interface {
	// System reads the system table _scheduled_functions.
	System() System
	reader() *view
}

// Writer is a Reader that can also change the app's documents, and nothing
// else. The same Writer sees what it has written at once; every other reader sees it
// when the transaction has been committed.
type Writer interface {
	Reader
	writer() (*Tx, int)
}

// JobWriter changes the jobs and triggers of one app: InsertJob, CancelJob,
// PutTrigger and their like take one. It belongs to the engine. It is no Writer,
// and a Writer leads to none, so what has only a Writer changes only documents.
// The zero JobWriter answers ErrTxDone. For engines.
type JobWriter struct{ v *view }

// Writer reads and writes the documents of the same transaction, or nested
// transaction, as w.
func (w JobWriter) Writer() Writer { return writable{w.v} }

// System reads the system table _scheduled_functions.
func (w JobWriter) System() System { return System{w.v} }

func (w JobWriter) writer() (*Tx, int) {
	if w.v == nil {
		return nil, 0
	}
	return w.v.tx, w.v.depth
}

// System is the read-only system table _scheduled_functions of one app. It is
// strictly consistent: a mutation sees the jobs it has itself scheduled and canceled.
type System struct{ of *view } // of another shape than JobWriter, into which it would be converted else

// Get returns the job with the id. ok is false if there is none: it was never
// scheduled, or it ended longer ago than the retention.
func (s System) Get(id JobID) (job Job, ok bool, err error) { return s.of.job(id) }

// List returns one page of the jobs that the filter chooses.
func (s System) List(f JobFilter) (JobPage, error) { return s.of.jobs(f, nil) }

// Scan is List that ends its page, which may have no job then, when more says no: it is asked
// before each row but the first, so that pages lead on. JobPage.Looked says how far it has looked.
func (s System) Scan(f JobFilter, more func() bool) (JobPage, error) { return s.of.jobs(f, more) }

// Count counts the jobs that the filter chooses, whatever its Limit and Cursor, until it has most
// of them, or more, which may be nil, says no. all says that there are no others.
func (s System) Count(f JobFilter, most int, more func() bool) (n int, all bool, err error) {
	return s.of.count(f, most, more)
}

// All yields every job that the filter chooses, across pages; the filter's
// Limit sizes the pages only. It stops after an error.
func (s System) All(f JobFilter) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		for {
			page, err := s.of.jobs(f, nil)
			if err != nil {
				yield(Job{}, err)
				return
			}
			for _, job := range page.Jobs {
				if !yield(job, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			f.Cursor = page.Next
		}
	}
}
