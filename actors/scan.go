package actors

import (
	"time"

	"carillon/storage"
)

// scanTime is how long one Scan looks. A page, and a count, look at scanRows jobs whatever time that
// takes, so that what is short is whole on a busy machine, too.
const (
	scanTime = 20 * time.Millisecond
	scanRows = 256
)

// MaxCounted is where the count of a Scan stops.
const MaxCounted = 10_000

// JobScan is one page of a Scan.
type JobScan struct {
	storage.JobPage

	// Count is how many jobs of the app the filter chooses, whatever its Limit and Cursor, if that
	// was asked for. It stops at MaxCounted, or when there was no more time: CountedAll is
	// false then, and there may be more.
	Count      int
	CountedAll bool
}

// Scan is List for a filter that may choose few of many jobs: it looks for 20 ms and answers
// what it has found by then, which may be nothing, with the cursor to go on from and how far it
// has looked: at 256 jobs, if there are as many, however long that takes. It reads committed state, of one moment. The time is that of the page and the count
// together.
func (s *HostScheduler) Scan(f storage.JobFilter, count bool) (scan JobScan, err error) {
	err = s.eng.read(s.ctx, s.app, nil, func(r storage.Reader) (err error) {
		until := s.eng.clock.elapsed() + scanTime
		more := func() func() bool {
			rows := 0
			return func() bool {
				rows++
				return rows < scanRows || s.eng.clock.elapsed() < until
			}
		}
		if scan.JobPage, err = r.System().Scan(f, more()); err != nil || !count {
			return err
		}
		scan.Count, scan.CountedAll, err = r.System().Count(f, MaxCounted, more())
		scan.Count = max(scan.Count, len(scan.Jobs))
		return err
	})
	return scan, err
}
