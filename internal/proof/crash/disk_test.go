package crash_test

import (
	"fmt"
	"strconv"
	"testing"

	"carillon/internal/proof"
	"carillon/storage/storagetest"
)

// failing are faults by errors of the call that concern the part of the store: only the n-th,
// for a while from there, or for good. The worker goes on as well as it can, and is killed in
// the end.
func failing(part storagetest.Part, call, how string, n int) []fault {
	const while = 10
	what := fmt.Sprintf("%s %d of the %s: %s", call, n, part, how)
	only := func(options []string) [][]string { return [][]string{append(part.Only("$DIR"), options...)} }
	return []fault{
		{what: what, bad: true, options: only(storagetest.Fail(call, how, n, false))},
		{what: what + ", for a while", bad: true, options: only(storagetest.FailWhile(call, how, n, n+while))},
		{what: what + ", and ever after", bad: true, options: only(storagetest.Fail(call, how, n, true))},
	}
}

// diskFaults are the ways in which a disk call may fail. A pwrite64 that returns
// 0 has written nothing and says so. One that returns less than it was given has
// written that much, which strace cannot make it do: see TestG6_ShortWrites.
var diskFaults = []struct{ call, how string }{
	{"fdatasync", "error=EIO"},
	{"fsync", "error=EIO"},
	{"pwrite64", "error=ENOSPC"},
	{"pwrite64", "error=EIO"},
	{"pwrite64", "retval=0"},
	{"ftruncate", "error=ENOSPC"},
}

// nameFaults are the ways in which a call may fail that changes a directory.
var nameFaults = []struct{ call, how string }{
	{"openat", "error=ENOSPC"},
	{"renameat", "error=EIO"},
	{"unlinkat", "error=EIO"},
}

// breakAll is tryAll for errors, some of which the calls must have met with.
func (b *breaker) breakAll(tally *proof.Tally, faults []fault, all int) {
	b.t.Helper()
	outcomes := b.tryAll(tally, faults, workerBudget())
	logOutcomes(b.t, outcomes, all)
	if outcomes[hadFailures]+outcomes[gaveUp] == 0 && outcomes[ranToItsEnd] >= 8 {
		b.t.Errorf("none of %d workers met with an error", outcomes[ranToItsEnd])
	}
}

// Each disk call fails, of the log, of the volume files, or of both, once, for a while, or
// from then on: nothing is acknowledged that is not there, nothing is there that was refused,
// and what has run counts once.
func TestG6_DiskErrors(t *testing.T) {
	tally := proof.NewTally(t, "disk errors")
	b := newBreaker(t)
	counts := b.count(tally)
	var faults []fault
	for part, counts := range counts {
		for _, f := range diskFaults {
			for _, n := range counts.Points(f.call) {
				faults = append(faults, failing(part, f.call, f.how, n)...)
			}
		}
		for _, f := range nameFaults {
			for n := 1; part != storagetest.Whole && n <= 8; n++ {
				faults = append(faults, failing(part, f.call, f.how, n)...)
			}
		}
	}
	all := len(faults)
	faults = sample(faults, proof.Pick(12, 1000, all))
	b.breakAll(tally, faults, all)
}

// Files may not grow beyond a limit in the middle of a page, so that one write is
// cut short, and all behind it fail, for as long as the process lives.
func TestG6_ShortWrites(t *testing.T) {
	tally := proof.NewTally(t, "short writes")
	b := newBreaker(t)
	const page, sector, pages = 4096, 512, 40
	var faults []fault
	for n := range pages * page / sector {
		limit := 4*page + n*sector
		faults = append(faults, fault{
			what: fmt.Sprintf("files end at %d", limit), bad: true,
			env: []string{workerLimit + "=" + strconv.Itoa(limit)}, options: [][]string{nil},
		})
	}
	all := len(faults)
	faults = sample(faults, proof.Pick(12, 1000, all))
	b.breakAll(tally, faults, all)
}
