package storage

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
)

// IDPage is one page of a listing by id.
type IDPage struct {
	Jobs []Job
	// Next is the id that the next page begins behind, and More says that there may be one: a page
	// ends after 10,000 ids, with however many jobs it has then.
	Next JobID
	More bool
}

// ByID returns up to limit, 1 to 1,000, jobs that have not ended, or that are dead, in the byte order of
// their ids, from the first one behind after. A job whose record cannot be read stands in it with an Error, as in List.
func (s System) ByID(dead bool, after JobID, limit int) (IDPage, error) {
	if limit < 1 || limit > maxPage {
		return IDPage{}, fmt.Errorf("%w: limit %d, want 1 to %d", ErrInvalid, limit, maxPage)
	}
	return s.of.byID(dead, after, limit)
}

// candidate is an id, and where its job lies, or why that is not known.
type candidate struct {
	id  JobID
	t   tag
	p   place
	bad error
}

func (v *view) byID(dead bool, behind JobID, limit int) (page IDPage, err error) {
	size, looked := 0, 0
	for c, err := range v.candidates(dead, behind) {
		if err != nil {
			return IDPage{}, err
		}
		if len(page.Jobs) == limit || size >= maxPageBytes || looked == maxExamined {
			page.More = true
			return page, nil
		}
		looked++
		page.Next = c.id
		if c.bad == nil && (dead != (c.t == tagDead) || c.t == tagHistory) {
			continue
		}
		job, n, err := v.found(&c)
		if err != nil {
			return IDPage{}, err
		}
		if v.expired(c.t, &job) {
			continue
		}
		job.Args = shownArgs(job.Args)
		page.Jobs = append(page.Jobs, job)
		size += n
	}
	return page, nil
}

// found is the job of the candidate, and the bytes of its record.
func (v *view) found(c *candidate) (job Job, n int, err error) {
	bad := c.bad
	if bad == nil {
		data, err := v.get(v.keys.place(c.t, c.p))
		if err != nil {
			return Job{}, 0, err
		}
		if job, bad = decodeJob(c.p, data); bad == nil {
			bad = v.present(c.t, &job)
		}
		n = len(data)
	}
	if bad != nil {
		job = unreadable(c.t, c.p, bad)
		job.ID = c.id
	}
	return job, n, nil
}

// candidates are the ids behind one, in order. The index has those that do not say themselves where
// the job lies, ended ones among them; the others are the places of jobs in the bucket, in its order.
func (v *view) candidates(dead bool, behind JobID) iter.Seq2[candidate, error] {
	return func(yield func(candidate, error) bool) {
		next, stop := iter.Pull2(v.atHome(dead, behind))
		defer stop()
		home, err, more := next()
		prefix := v.keys.prefix(tagID)
		for r, scanErr := range v.scan(append(v.keys.name(tagID, string(behind)), 0), after(prefix), false) {
			if scanErr != nil {
				yield(candidate{}, scanErr)
				return
			}
			c := candidate{id: JobID(tail(r.key))}
			for ; more && (err != nil || home.id < c.id); home, err, more = next() {
				if !yield(home, err) {
					return
				}
			}
			if more && home.id == c.id { // the index knows better
				home, err, more = next()
			}
			if c.bad = damageOf(r.value); c.bad == nil && len(r.value) != 1+placeLen {
				c.bad = fmt.Errorf("%w: location of job %s", ErrCorrupt, c.id)
			}
			if c.bad == nil {
				c.t, c.p = tag(r.value[0]), decodePlace(r.value[1:])
			}
			if !yield(c, nil) {
				return
			}
		}
		for ; more; home, err, more = next() {
			if !yield(home, err) {
				return
			}
		}
	}
}

// atHome are the jobs of the bucket behind an id whose own ids say where they lie.
func (v *view) atHome(none bool, behind JobID) iter.Seq2[candidate, error] {
	return func(yield func(candidate, error) bool) {
		first, any := firstHome(behind)
		if none || !any {
			return
		}
		prefix := v.keys.prefix(tagQueue)
		for r, err := range v.scan(v.keys.place(tagQueue, first), after(prefix), false) {
			if err != nil {
				yield(candidate{}, err)
				return
			}
			p := placeOf(r.key)
			job, err := decodeJob(p, r.value)
			if err != nil {
				job.ID = mintJobID(p)
			}
			if home, minted := job.ID.home(); minted && home == p && job.ID > behind && !yield(candidate{id: job.ID, t: tagQueue, p: p}, nil) {
				return
			}
		}
	}
}

// firstHome is the place of the first minted id that is not before the given one, or one that is.
func firstHome(id JobID) (p place, any bool) {
	if id < mintedPrefix {
		return place{}, true
	}
	rest, ok := strings.CutPrefix(string(id), mintedPrefix)
	if !ok {
		return place{}, false
	}
	const alphabet = "0123456789abcdefghijklmnopqrstuv"
	text := []byte(mintedPrefix)
	fill := byte('0')
	for i := 0; i < len(rest) && len(text) < len(mintedPrefix)+24; i++ {
		at := 0
		for at < len(alphabet) && alphabet[at] < rest[i] {
			at++
		}
		if at == len(alphabet) { // no id that goes on so is behind it
			fill = alphabet[len(alphabet)-1]
			break
		}
		text = append(text, alphabet[at])
		if alphabet[at] != rest[i] {
			break
		}
	}
	text = append(text, bytes.Repeat([]byte{fill}, len(mintedPrefix)+24-len(text))...)
	p, ok = JobID(text).home()
	return p, ok
}
