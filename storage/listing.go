package storage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// maxPage bounds the rows of one page of a listing; defaultPage is used if the
// filter does not say. The job that passes maxPageBytes is the last of its page.
const (
	maxPage      = 1000
	defaultPage  = 100
	maxPageBytes = 4 << 20
)

// maxExamined bounds how many rows one page of a selective listing reads, so
// that a rare match does not make one read of the whole app.
const maxExamined = 10_000

// regions are where jobs lie, in the order a listing goes through them.
var regions = [...]tag{tagQueue, tagHeld, tagDead, tagHistory}

// job finds one job by its id.
func (v *view) job(id JobID) (Job, bool, error) {
	p, t, found, err := locate(v.get, v.keys, id)
	if err != nil || !found {
		return Job{}, false, err
	}
	data, err := v.get(v.keys.place(t, p))
	if err != nil || data == nil {
		// Between two reads of a transaction nothing can change, so nil is corrupt;
		// but say so only in check.
		return Job{}, false, err
	}
	job, err := decodeJob(p, data)
	if err != nil {
		return Job{}, false, fmt.Errorf("app %s: job %s: %w", v.app.id, id, err)
	}
	if v.expired(t, &job) {
		return Job{}, false, nil
	}
	job.Args = shownArgs(job.Args)
	return job, true, errors.Join(v.present(t, &job), readResult(v.get, v.keys, &job))
}

// expired says whether a job that has ended is past its retention: gone for every
// reader, though its row may not be deleted yet.
func (v *view) expired(t tag, job *Job) bool {
	switch t {
	case tagHistory:
		keep := time.Duration(v.app.retention.Load())
		return keep > 0 && !job.CompletedAt.After(v.now.Add(-keep))
	case tagDead:
		return v.app.deadExpired(job, v.now)
	}
	return false
}

// present completes a job with what its claim and the engine say of it.
func (v *view) present(t tag, job *Job) error {
	if t == tagHeld {
		job.Wait = WaitHeld
	}
	if v.reads != nil && t != tagHistory {
		// What memory answers now is asked of these keys after they were written.
		v.reads.addUnder(v.keys.notes(job.place.seq))
		if t == tagQueue {
			v.reads.addKey(v.keys.place(tagClaim, job.place))
		}
	}
	if t != tagHistory && v.app.notesNow.Load() > 0 {
		if err := v.noted(job); err != nil {
			return fmt.Errorf("app %s: job %s: %w", v.app.id, job.ID, err)
		}
	}
	if t != tagQueue {
		return nil
	}
	if !v.app.started(job.ID) {
		if waits := v.app.waitsFor.Load(); waits != nil {
			job.Wait, job.Reason = (*waits)(job)
		}
		return nil
	}
	if told := v.app.progress.Load(); told != nil {
		job.Progress = (*told)(job.ID)
	}
	claim, err := v.get(v.keys.place(tagClaim, job.place))
	if err != nil || claim == nil {
		return err
	}
	_, _, attempt, err := decodeClaim(claim)
	if err != nil {
		return fmt.Errorf("app %s: job %s: %w", v.app.id, job.ID, err)
	}
	job.State, job.Attempts = StateRunning, attempt
	return nil
}

// superseded says whether a later job was given the finished job's id.
func (v *view) superseded(job *Job) (bool, error) {
	if _, minted := job.ID.home(); minted {
		return false, nil // no job can choose it
	}
	loc, err := v.get(v.keys.name(tagID, string(job.ID)))
	if err == nil {
		err = damageOf(loc)
	}
	return err == nil && !bytes.Equal(loc, encodeLocation(tagHistory, job.place)), err
}

// oneJob is the page of a filter with an ID.
func (v *view) oneJob(f JobFilter) (JobPage, error) {
	job, ok, err := v.job(f.ID)
	if err != nil || !ok || !f.Chooses(&job) {
		return JobPage{}, err
	}
	return JobPage{Jobs: []Job{job}}, nil
}

// jobs returns one page of the jobs that the filter chooses, and stops before its end once more,
// unless that is nil, says so.
func (v *view) jobs(f JobFilter, more func() bool) (page JobPage, err error) {
	if err := f.Check(); err != nil {
		return JobPage{}, err
	}
	if f.ID != "" {
		return v.oneJob(f)
	}
	if f.Limit == 0 {
		f.Limit = defaultPage
	}
	region, from, err := decodeCursor(f.Cursor)
	if err != nil {
		return JobPage{}, err
	}
	bytesShown := 0
	full := func() bool {
		n := page.Looked.Jobs
		return len(page.Jobs) == f.Limit || bytesShown >= maxPageBytes || n == maxExamined || more != nil && n > 0 && !more()
	}
	page.Next, err = v.walkJobs(&f, region, from, full, func(t tag, job *Job, size int) {
		page.Looked.Jobs++
		page.Looked.In, page.Looked.To = regionNames[t], shown(job.place.ms)
		if !f.Chooses(job) || v.expired(t, job) {
			return
		}
		job.Args = shownArgs(job.Args)
		var err error
		if t == tagHistory {
			if job.Superseded, err = v.superseded(job); err != nil {
				job.Error = unreadable(t, job.place, err).Error
			}
		}
		if err := readResult(v.get, v.keys, job); err != nil {
			job.Error = unreadable(t, job.place, err).Error
		}
		page.Jobs = append(page.Jobs, *job)
		bytesShown += size + len(job.Result)
	})
	if err != nil {
		return JobPage{}, err
	}
	return page, nil
}

// count counts the jobs that the filter chooses, whatever its Limit and Cursor, up to most of
// them, and while more, unless that is nil, says so. all says that those are all.
func (v *view) count(f JobFilter, most int, more func() bool) (n int, all bool, err error) {
	if err := f.Check(); err != nil {
		return 0, false, err
	}
	if f.ID != "" {
		page, err := v.oneJob(f)
		return len(page.Jobs), true, err
	}
	looked := 0
	full := func() bool { return n == most || more != nil && looked > 0 && !more() }
	next, err := v.walkJobs(&f, 0, nil, full, func(t tag, job *Job, _ int) {
		if looked++; f.Chooses(job) && !v.expired(t, job) {
			n++
		}
	})
	return n, next == "" && err == nil, err
}

// walkJobs goes through the rows where jobs lie that the filter can choose, from a place on, as
// readers see them, with the size of each. It stops before a row at which it is full, and returns
// the cursor of that.
func (v *view) walkJobs(f *JobFilter, region int, from []byte, full func() bool, each func(t tag, job *Job, size int)) (next string, err error) {
	for ; region < len(regions); region, from = region+1, nil {
		t := regions[region]
		if !f.wantsRegion(t) {
			continue
		}
		start, end := f.keys(v.keys, t)
		at := append(v.keys.prefix(t), from...)
		switch {
		case !f.Desc && bytes.Compare(at, start) > 0:
			start = at
		case f.Desc && len(from) > 0 && bytes.Compare(after(at), end) < 0:
			end = after(at)
		}
		for r, err := range v.scan(start, end, f.Desc) {
			if err != nil {
				return "", err
			}
			if full() {
				from := tail(r.key)
				return encodeCursor(region, from[:min(len(from), placeLen)]), nil
			}
			p := placeOf(r.key)
			job, err := decodeJob(p, r.value)
			if err != nil {
				job = unreadable(t, p, err)
			}
			if err := v.present(t, &job); err != nil {
				job.Error = unreadable(t, p, err).Error
			}
			each(t, &job, len(r.value))
		}
	}
	return "", nil
}

// unreadable stands in a listing for a row that cannot be read, so that it does not
// spoil the rest: where it lies is known, and its Error says what is wrong with it.
func unreadable(t tag, p place, err error) Job {
	state := map[tag]State{tagQueue: StatePending, tagHeld: StateHeld, tagDead: StateFailed, tagHistory: StateSuccess}[t]
	return Job{
		ID: mintJobID(p), State: state, Due: shown(p.ms), ScheduledFor: shown(p.ms), place: p,
		Error: &JobError{Code: "data_loss", Message: cannotRead(err)},
	}
}

// cannotRead is what a listing says of a record that cannot be read.
func cannotRead(err error) string { return errorText("the record cannot be read: " + err.Error()) }

// shownArgs are arguments as they are shown, which is always as JSON, so that an
// answer with them can be encoded and read. Text that is no JSON, as an earlier release
// has taken it or damage has left it, is shown as a string.
func shownArgs(args []byte) []byte {
	switch {
	case len(args) == 0:
		return nil
	case wellFormed(args):
		return args
	}
	text, err := json.Marshal(string(args))
	if err != nil {
		return nil // a string always has a JSON form
	}
	return text
}

// A cursor is the region and the place of the first row of the next page: less than a place,
// if damage has made the row's key shorter.
func encodeCursor(region int, place []byte) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{byte(region)}, place...))
}

func decodeCursor(s string) (region int, place []byte, err error) {
	if s == "" {
		return 0, nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) == 0 || len(raw) > 1+placeLen || int(raw[0]) >= len(regions) {
		return 0, nil, fmt.Errorf("%w: cursor %s", ErrInvalid, quote(s))
	}
	return int(raw[0]), raw[1:], nil
}
