package storage

import "fmt"

// What a job's function returned is kept with the job once it has ended as a success. A short
// result is a part of its record; the bytes of a longer one lie in a region of their own, at the
// place that the job has in the history. So those of the jobs that ended first come first,
// and can be taken away to make room without a change to the records.

// shortResult is how many bytes a result has at most that is a part of the job's record.
const shortResult = 256

// SetMaxResultBytes sets how many bytes the app's results that are not short may have
// together, instead of Options.MaxResultBytes. n is 1 or more. It counts from the next
// transaction on.
func (a *App) SetMaxResultBytes(n int64) { a.mostKept.Store(n) }

// ResultBytes returns how many bytes they have, as of the last change submitted. Any
// goroutine may ask.
func (a *App) ResultBytes() int64 { return a.resultsNow.Load() }

// makeRoom takes the oldest results away until there is room for that of the end. Where
// they are far too many, since the limit is a new one, it takes away about a megabyte more
// than that, and leaves the rest to the ends that follow.
func (tx *Tx) makeRoom(end *End) error {
	size := len(end.Result)
	if size <= shortResult {
		return nil
	}
	c, most := &tx.top().counts, uint64(tx.app.mostKept.Load())
	if uint64(size) > most {
		end.Result, end.NotKept = nil, &NotKept{Bytes: size, Reason: fmt.Sprintf("it is larger than the %d bytes that all results of the app may have (MaxResultBytes)", most)}
		return nil
	}
	prefix := tx.app.keys.prefix(tagResult)
	for left := size + pageBytes; left > 0 && c.results > 0 && c.results+uint64(size) > most; {
		over := min(c.results+uint64(size)-most, uint64(left))
		rows, _, err := tx.readPage(tx.app.keys.place(tagResult, c.oldest), after(prefix), false, extent{rows: scanChunk, bytes: int(over)})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			c.results = 0 // the count was wrong: of values that could not be read
		}
		for _, r := range rows {
			p := placeOf(r.key)
			size := len(r.value)
			if damageOf(r.value) != nil { // the record has its length
				data, err := tx.get(tx.app.keys.place(tagHistory, p))
				if err != nil {
					return err
				}
				if job, err := decodeJob(p, data); err == nil {
					size = job.ResultSize
				}
			}
			tx.dropRow(r.key, size)
			c.oldest = p.next()
			left -= len(r.key) + size
		}
	}
	return nil
}

// putResult stores the result of a job that has ended, unless its record has it. There is
// room for it (makeRoom).
func (tx *Tx) putResult(job *Job) {
	if job.NotKept != nil || len(job.Result) <= shortResult {
		return
	}
	tx.put(tx.app.keys.place(tagResult, job.place), job.Result)
	tx.top().counts.results += uint64(len(job.Result))
}

// dropResult takes the result of a job away whose record is taken away. It returns how many
// bytes those were.
func (tx *Tx) dropResult(job *Job) (bytes int, err error) {
	if job.NotKept != nil || job.ResultSize <= shortResult || tx.top().counts.results == 0 {
		return 0, nil
	}
	key := tx.app.keys.place(tagResult, job.place)
	value, err := tx.get(key)
	if err != nil || value == nil {
		return 0, err
	}
	tx.dropRow(key, job.ResultSize)
	return job.ResultSize, nil
}

func (tx *Tx) dropRow(key []byte, bytes int) {
	tx.delete(key)
	c := &tx.top().counts
	c.results -= min(c.results, uint64(bytes))
}

// readResult completes a job with a result that its record does not have, or with why it is
// kept no more.
func readResult(get func([]byte) ([]byte, error), keys keyspace, job *Job) error {
	if job.NotKept != nil || job.ResultSize <= shortResult {
		return nil
	}
	value, err := get(keys.place(tagResult, job.place))
	if err == nil {
		err = damageOf(value)
	}
	if err != nil {
		return err
	}
	if job.Result = value; value == nil {
		job.NotKept = &NotKept{Bytes: job.ResultSize, Reason: "it was kept until the results of later jobs needed the room (MaxResultBytes)"}
	}
	return nil
}

// Ended returns the jobs that the transaction has ended, of those that want chooses by their
// sequence numbers, as a reader shows them; and the numbers of those that it has taken away
// though they have not ended. The transaction was committed.
func (tx *Tx) Ended(want func(seq uint64) bool) (ended []Job, vanished []uint64) {
	l, keys := tx.layers[0], tx.app.keys
	get := func(key []byte) ([]byte, error) {
		if w, ok := l.m.Get(string(key)); ok {
			return w.copy(), nil
		}
		return nil, nil
	}
	for _, t := range []tag{tagHistory, tagDead} {
		prefix := keys.prefix(t)
		l.m.Ascend(string(prefix), func(key string, w write) bool {
			p, ok := keys.placeIn(t, []byte(key))
			if !ok {
				return false
			}
			if !w.deleted && want(p.seq) {
				if job, err := decodeJob(p, w.copy()); err == nil && readResult(get, keys, &job) == nil {
					job.Args = shownArgs(job.Args)
					ended = append(ended, job)
				}
			}
			return true
		})
	}
	for i := range l.gone {
		if job := &l.gone[i]; !job.State.Ended() {
			vanished = append(vanished, job.place.seq)
		}
	}
	return ended, vanished
}

// result verifies that the bytes are the result of the job at the same place.
func (c *jobCheck) result(p place, value []byte) {
	if err := damageOf(value); err != nil {
		c.failed(err)
		return
	}
	c.got.results += uint64(len(value))
	if size, ok := c.results[p]; !ok || size != len(value) || !wellFormed(value) {
		c.failed(fmt.Errorf("%w: the result at %d/%d, of %d bytes, is not that of a job", ErrCorrupt, p.ms, p.seq, len(value)))
	}
}
