package storage

import (
	"encoding/binary"
	"fmt"
)

// A job may schedule another once under a name, however often its handler is tried. What it
// has so scheduled is kept until its own record is taken away.
//
//	number ‖ 'o' ‖ sequence number of the job ‖ name     id of the job that it has scheduled
//	number ‖ 'o' ‖ sequence number of the job            how many names there are
func (n keyspace) once(seq uint64, name string) []byte {
	return append(binary.BigEndian.AppendUint64(n.prefix(tagOnce), seq), name...)
}

// MaxOnce is how many jobs one job can schedule once.
const MaxOnce = 10_000

// once schedules the job, unless its parent has scheduled one under that name.
func (v *view) once(job Job) (Told, error) {
	tx, keys := v.tx, v.tx.app.keys
	if err := checkKey("name of Once", job.Once); err != nil {
		return Told{}, err
	}
	p, _, found, err := tx.locate(job.Parent)
	if err != nil {
		return Told{}, err
	}
	if !found {
		return Told{}, fmt.Errorf("%w: job %s, which is to schedule another once", ErrNotFound, quote(string(job.Parent)))
	}
	row, number := keys.once(p.seq, job.Once), keys.once(p.seq, "")
	child, err := tx.sound(row)
	if err != nil {
		return Told{}, err
	}
	if child != nil {
		return Told{ID: JobID(child), Kept: true, Holder: JobID(child)}, nil
	}
	data, err := tx.sound(number)
	if err != nil {
		return Told{}, err
	}
	n := decodeU64(data)
	if n >= MaxOnce {
		return Told{}, fmt.Errorf("%w: job %s has scheduled %d jobs once, as many as one may", ErrLimit, job.Parent, n)
	}
	done, err := v.schedule(job)
	if err != nil {
		return Told{}, err
	}
	if n == 0 {
		tx.top().counts.onceParents++
	}
	tx.put(row, []byte(done.ID))
	tx.put(number, u64(n+1))
	return done, nil
}

// sound is get of a value that is no record: an error if it is damaged.
func (tx *Tx) sound(key []byte) ([]byte, error) {
	data, err := tx.get(key)
	if err == nil {
		err = tx.app.damageOf(data)
	}
	return data, err
}

// dropOnce forgets what the job has scheduled once, as its record is taken away, and whose
// child it is. It returns how many bytes of keys that were.
func (tx *Tx) dropOnce(job *Job) (bytes int, err error) {
	if job.Parent != "" {
		tx.delete(tx.app.keys.child(job))
	}
	if tx.top().counts.onceParents == 0 {
		return 0, nil
	}
	prefix := tx.app.keys.once(job.place.seq, "")
	rows, err := tx.rows(prefix, after(prefix), false, MaxOnce+1)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	for _, r := range rows {
		tx.delete(r.key)
		bytes += len(r.key)
	}
	tx.top().counts.onceParents--
	return bytes, nil
}

// encodeParent is the id of a job's parent as the record has it.
func encodeParent(id JobID) []byte {
	if id == "" {
		return nil
	}
	home, minted := id.home()
	if !minted {
		return []byte(id)
	}
	b := binary.AppendUvarint([]byte{0}, uint64(home.ms))
	return binary.AppendUvarint(b, home.seq)
}

func decodeParent(b []byte) (JobID, error) {
	if len(b) == 0 || b[0] != 0 {
		return JobID(b), nil
	}
	ms, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return "", fmt.Errorf("%w: the job's parent", ErrCorrupt)
	}
	seq, m := binary.Uvarint(b[1+n:])
	if m <= 0 || 1+n+m != len(b) || ms > maxPlaceMs {
		return "", fmt.Errorf("%w: the job's parent", ErrCorrupt)
	}
	return mintJobID(place{int64(ms), seq}), nil
}
