package storage

import (
	"encoding/binary"
	"fmt"
	"time"
)

// While it runs, an attempt of a job leaves notes: a checkpoint, which the next attempt is given,
// and how far it has come.
//
//	number ‖ 'n' ‖ sequence number of the job ‖ 'c' ‖ length     checkpoint, of that many bytes
//	number ‖ 'n' ‖ sequence number of the job ‖ 'p'              progress of the attempt under way
//
// A checkpoint stays as long as the job may be tried again, also while it is held or dead. It is
// void once another call has taken the job's place (Job.Revision). The length is in the key so
// that their sum can be kept, whatever becomes of a value.

// MaxCheckpoint bounds a checkpoint, in bytes of JSON.
const MaxCheckpoint = 64 << 10

// Kinds of notes.
const (
	noteCheckpoint = 'c'
	noteProgress   = 'p'
)

// Progress is how far the attempt of a job has come, as its handler has told.
type Progress struct {
	Done  int64     `json:"done"`
	Total int64     `json:"total,omitempty"` // 0: it is not known
	Note  string    `json:"note,omitempty"`
	At    time.Time `json:"at"` // when that was told
}

func (n keyspace) notes(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(n.prefix(tagNotes), seq)
}

func (n keyspace) checkpoint(seq uint64, size int) []byte {
	return binary.BigEndian.AppendUint32(append(n.notes(seq), noteCheckpoint), uint32(size))
}

func (n keyspace) progress(seq uint64) []byte { return append(n.notes(seq), noteProgress) }

// noteOf is what the key says: whose note of which kind it is, and how long a checkpoint is. ok is
// false for a key that damage has changed.
func noteOf(key []byte) (seq uint64, kind byte, size int, ok bool) {
	rest := tail(key)
	if len(rest) < 9 {
		return 0, 0, 0, false
	}
	seq, kind = binary.BigEndian.Uint64(rest), rest[8]
	switch {
	case kind == noteCheckpoint && len(rest) == 13:
		return seq, kind, int(binary.BigEndian.Uint32(rest[9:])), true
	case kind == noteProgress && len(rest) == 9:
		return seq, kind, 0, true
	}
	return seq, kind, 0, false
}

// SetMaxCheckpointBytes sets how many bytes the checkpoints of the app's jobs may have together,
// instead of Options.MaxCheckpointBytes. n is 1 or more. It counts from the next transaction on.
func (a *App) SetMaxCheckpointBytes(n int64) { a.mostSaved.Store(n) }

// CheckpointBytes returns how many bytes they have, as of the last change submitted. Any
// goroutine may ask.
func (a *App) CheckpointBytes() int64 { return a.savedNow.Load() }

// SetProgress sets what says how far a job that runs has come, nil if it has told nothing:
// readers show that in place of what was written down last. It may be called from any goroutine
// and must not block.
func (a *App) SetProgress(of func(JobID) *Progress) { a.progress.Store(&of) }

// SaveCheckpoint stores what the job's next attempt is given, JSON of up to MaxCheckpoint bytes,
// in place of an earlier one. job must be as it was when claimed. ok is false if its attempt is
// over, since the job was canceled, has ended, or has another attempt. ErrLimit if it is too long,
// or the app's checkpoints would have more bytes than they may. Nothing is changed then.
func (tx *Tx) SaveCheckpoint(job *Job, value []byte) (ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	if len(value) > MaxCheckpoint {
		return false, fmt.Errorf("%w: a checkpoint of %d bytes, it may have %d", ErrLimit, len(value), MaxCheckpoint)
	}
	if ok, err := tx.attempts(job); err != nil || !ok {
		return false, err
	}
	rows, err := tx.notesOf(job.place.seq)
	if err != nil {
		return false, err
	}
	c, was := &tx.top().counts, 0
	for _, r := range rows {
		_, _, size, _ := noteOf(r.key)
		was += size
	}
	if sum, most := c.saved-min(c.saved, uint64(was))+uint64(len(value)), uint64(tx.app.mostSaved.Load()); sum > most {
		return false, fmt.Errorf("%w: the checkpoints of app %s would have %d bytes, they may have %d (MaxCheckpointBytes)", ErrLimit, tx.app.id, sum, most)
	}
	for _, r := range rows {
		if _, kind, _, _ := noteOf(r.key); kind == noteCheckpoint {
			tx.dropNote(r.key)
		}
	}
	tx.put(tx.app.keys.checkpoint(job.place.seq, len(value)), encodeCheckpoint(job, value))
	c.notes++
	c.saved += uint64(len(value))
	return true, nil
}

// SaveProgress stores how far the attempt of the job has come. Else it is as SaveCheckpoint.
func (tx *Tx) SaveProgress(job *Job, p Progress) (ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	if ok, err := tx.attempts(job); err != nil || !ok {
		return false, err
	}
	key := tx.app.keys.progress(job.place.seq)
	was, err := tx.get(key)
	if err != nil {
		return false, err
	}
	if was == nil {
		tx.top().counts.notes++
	}
	tx.put(key, encodeProgress(job, p))
	return true, nil
}

// attempts says whether the attempt that the job was claimed for is still under way.
func (tx *Tx) attempts(job *Job) (bool, error) {
	claim, err := tx.get(tx.app.keys.place(tagClaim, job.place))
	if err != nil || claim == nil {
		return false, err
	}
	id, _, _, err := decodeClaim(claim)
	if err != nil {
		return false, fmt.Errorf("app %s: job %s: %w", tx.app.id, job.ID, err)
	}
	return id == job.claim, nil
}

// notesOf are the rows of the job's notes.
func (tx *Tx) notesOf(seq uint64) ([]row, error) {
	if tx.top().counts.notes == 0 {
		return nil, nil
	}
	prefix := tx.app.keys.notes(seq)
	return tx.rows(prefix, after(prefix), false, 8)
}

// dropNotes drops the notes of a job whose attempt is over: its progress, and its checkpoint if
// it is not tried again.
func (tx *Tx) dropNotes(job *Job, again bool) error {
	rows, err := tx.notesOf(job.place.seq)
	for _, r := range rows {
		if _, kind, _, _ := noteOf(r.key); kind != noteCheckpoint || !again {
			tx.dropNote(r.key)
		}
	}
	return err
}

func (tx *Tx) dropNote(key []byte) {
	c := &tx.top().counts
	_, _, size, _ := noteOf(key)
	tx.delete(key)
	c.notes -= min(c.notes, 1)
	c.saved -= min(c.saved, uint64(size))
}

// Checkpoint returns what the latest attempt of the job has saved that has saved anything, as
// committed; nil if there is nothing, or if other arguments have taken the place of its own since.
func (s *Snapshot) Checkpoint(job *Job) ([]byte, error) { return s.v.System().Checkpoint(job) }

// Checkpoint is that of the snapshot.
func (s System) Checkpoint(job *Job) ([]byte, error) {
	prefix := s.of.keys.notes(job.place.seq)
	rows, err := s.of.rows(prefix, after(prefix), false, 8)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if _, kind, _, _ := noteOf(r.key); kind != noteCheckpoint {
			continue
		}
		value, of, err := decodeCheckpoint(r.value)
		if err != nil {
			return nil, fmt.Errorf("app %s: job %s: %w", s.of.app.id, job.ID, err)
		}
		if of == job.Revision {
			return value, nil
		}
	}
	return nil, nil
}

// noted completes a job that is pending, held or dead with what its notes say.
func (v *view) noted(job *Job) error {
	prefix := v.keys.notes(job.place.seq)
	rows, err := v.rows(prefix, after(prefix), false, 8)
	if err != nil {
		return err
	}
	for _, r := range rows {
		switch _, kind, size, _ := noteOf(r.key); kind {
		case noteCheckpoint:
			_, revision, err := decodeCheckpoint(r.value)
			if err != nil {
				return err
			}
			if revision == job.Revision {
				job.CheckpointSize = size
			}
		case noteProgress:
			p, revision, attempt, err := decodeProgress(r.value)
			if err != nil {
				return err
			}
			if revision == job.Revision && attempt == job.Attempts+1 {
				job.Progress = &p
			}
		}
	}
	return nil
}

// note verifies one note. Whose it is job and finish verify.
func (c *jobCheck) note(key, value []byte) {
	c.got.notes++
	seq, kind, size, ok := noteOf(key)
	if !ok {
		c.bad("key %x of a note", key)
		return
	}
	if kind == noteProgress {
		if _, _, _, err := decodeProgress(value); err != nil {
			c.failed(err)
		}
		c.progress[seq] = true
		return
	}
	c.got.saved += uint64(size)
	if c.checkpoints[seq] {
		c.bad("job number %d has two checkpoints", seq)
	}
	c.checkpoints[seq] = true
	switch text, _, err := decodeCheckpoint(value); {
	case err != nil:
		c.failed(err)
	case len(text) != size || size > MaxCheckpoint || !wellFormed(text):
		c.bad("the checkpoint of job number %d, of %d bytes, is said to have %d", seq, len(text), size)
	}
}
