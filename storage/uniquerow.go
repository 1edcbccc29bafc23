package storage

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"carillon/proto"
)

// A unique key belongs to one job, the latest that was scheduled under it: while that is
// pending, held or running, and for a while after its end if it is held on or throttled.
//
//	number ‖ 'y' ‖ 'k' ‖ function ‖ 0 ‖ key     whose it is; no function: the whole app's
//	number ‖ 'y' ‖ 'e' ‖ until ‖ function ‖ 0 ‖ key     (empty) one whose job has ended, and when its row is void
const (
	keyOwner byte = 'k'
	keyUntil byte = 'e'
)

// keyRowWeight is what a row of a key weighs beside key and job, in bytes.
const keyRowWeight = 48

func (n keyspace) keyOwner(key string) []byte {
	return append(append(n.prefix(tagUnique), keyOwner), key...)
}

func (n keyspace) keyUntil(ms int64, key string) []byte {
	b := append(n.prefix(tagUnique), keyUntil)
	return append(place{ms: ms}.append(b)[:len(b)+8], key...)
}

// uniqueOf is the key that a row of tagUnique is of, without the function.
func uniqueOf(tail []byte) (string, bool) {
	skip := 1
	if len(tail) > 0 && tail[0] == keyUntil {
		skip += 8
	}
	if len(tail) < skip {
		return "", false
	}
	_, key, ok := bytes.Cut(tail[skip:], []byte{0})
	return string(key), ok
}

// keyRow is what is stored of a unique key.
type keyRow struct {
	key       string
	job       JobID
	until     int64 // ms; 0: the job has not ended
	span      int64 // ms
	throttled bool
}

func (r *keyRow) encode() []byte {
	p := proto.KeyHolder{Version: recordVersion, Job: string(r.job), UntilMs: r.until, SpanMs: r.span, Throttled: r.throttled}
	return encoded(p.MarshalVT())
}

func decodeKeyRow(key string, data []byte) (*keyRow, error) {
	var p proto.KeyHolder
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return nil, fmt.Errorf("unique key %s: %w", quote(key), err)
	}
	return &keyRow{key, JobID(p.Job), p.UntilMs, p.SpanMs, p.Throttled}, nil
}

// keyRow reads the row of the key; nil if there is none, or it is void.
func (tx *Tx) keyRow(key string) (*keyRow, error) {
	data, err := tx.get(tx.app.keys.keyOwner(key))
	if err != nil || data == nil {
		return nil, err
	}
	row, err := decodeKeyRow(key, data)
	if err != nil {
		return nil, fmt.Errorf("app %s: %w", tx.app.id, err)
	}
	tx.boundKey(row)
	if row.until != 0 && row.until <= tx.now.UnixMilli() {
		tx.forgetKey(row)
		return nil, nil
	}
	return row, nil
}

// keyRowOf reads the row of the job's key, or else the one that it has under another name of
// the function. A row is always of the name that its job was stored with.
func (tx *Tx) keyRowOf(job *Job) (*keyRow, error) {
	row, err := tx.keyRow(job.UniqueKey())
	if row != nil || err != nil || job.Unique.AppWide {
		return row, err
	}
	for _, name := range tx.app.otherNames(job.Function) {
		if row, err = tx.keyRow(keyIn(name, job.Unique.Key)); row != nil || err != nil {
			return row, err
		}
	}
	return nil, nil
}

// boundKey has a row last no longer than its span from now: it may be of a clock that
// has been set back since.
func (tx *Tx) boundKey(row *keyRow) {
	if most := tx.now.UnixMilli() + row.span; row.until > most {
		tx.forgetKey(row)
		row.until = most
		tx.putKey(row)
	}
}

// putKey stores a row that is not there.
func (tx *Tx) putKey(row *keyRow) {
	keys := tx.app.keys
	tx.put(keys.keyOwner(row.key), row.encode())
	if row.until != 0 {
		tx.put(keys.keyUntil(row.until, row.key), nil)
		tx.top().counts.lasting++
	}
}

// forgetKey takes a row away that is there.
func (tx *Tx) forgetKey(row *keyRow) {
	keys := tx.app.keys
	tx.delete(keys.keyOwner(row.key))
	if row.until != 0 {
		tx.delete(keys.keyUntil(row.until, row.key))
		tx.top().counts.lasting--
	}
}

// Lasting returns how many unique keys are kept of jobs that have ended, as of the last
// change submitted.
func (a *App) Lasting() int { return int(a.counts.lasting) }

// PurgeKeys deletes up to limit rows of unique keys whose jobs have ended and that are
// void at the instant (zero: none is). It returns how many; more is false if none is left.
func (tx *Tx) PurgeKeys(at time.Time, limit int) (n int, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return 0, false, err
	}
	defer tx.mu.Unlock()
	if tx.top().counts.lasting == 0 || at.IsZero() || limit < 1 {
		return 0, false, nil
	}
	keys := tx.app.keys
	prefix := append(keys.prefix(tagUnique), keyUntil)
	rows, err := tx.rows(prefix, keys.keyUntil(at.UnixMilli()+1, ""), false, limit)
	if err != nil {
		return 0, false, err
	}
	for _, r := range rows {
		row, err := tx.keyRow(string(r.key[len(prefix)+8:]))
		if err != nil {
			return n, false, err
		}
		if row != nil {
			tx.delete(r.key) // it is of no row
		}
		n++
	}
	// The last one may be of a clock that has been set back since.
	for range limit - n {
		last, err := tx.rows(prefix, after(prefix), true, 1)
		if err != nil || len(last) == 0 {
			return n, false, err
		}
		row, err := tx.keyRow(string(last[0].key[len(prefix)+8:]))
		if err != nil {
			return n, false, err
		}
		if row == nil || bytes.Equal(keys.keyUntil(row.until, row.key), last[0].key) {
			break
		}
		n++
	}
	return n, n == limit, nil
}

func encodeUnique(u *Unique) *proto.Unique {
	if u == nil {
		return nil
	}
	return &proto.Unique{
		Key: u.Key, Policy: proto.UniquePolicy(slices.Index(uniquePolicies[:], u.Policy)), AppWide: u.AppWide, PendingOnly: u.PendingOnly,
		EveryMs: u.Every.Milliseconds(), HeldForMs: u.HeldFor.Milliseconds(), SinceMs: msOf(u.Since), LastStartMs: msOf(u.LastStart),
	}
}

func decodeUnique(p *proto.Unique) *Unique {
	if p == nil {
		return nil
	}
	u := &Unique{
		Key: p.Key, Policy: UniqueKeep, AppWide: p.AppWide, PendingOnly: p.PendingOnly,
		Every: time.Duration(p.EveryMs) * time.Millisecond, HeldFor: time.Duration(p.HeldForMs) * time.Millisecond,
		Since: timeOf(p.SinceMs), LastStart: timeOf(p.LastStartMs),
	}
	if n := int(p.Policy); n >= 0 && n < len(uniquePolicies) {
		u.Policy = uniquePolicies[n]
	}
	return u
}

// uniquePolicies are the policies by the number that is written.
var uniquePolicies = [...]UniquePolicy{
	proto.UniquePolicy_UNIQUE_POLICY_KEEP:     UniqueKeep,
	proto.UniquePolicy_UNIQUE_POLICY_REPLACE:  UniqueReplace,
	proto.UniquePolicy_UNIQUE_POLICY_THROTTLE: UniqueThrottle,
	proto.UniquePolicy_UNIQUE_POLICY_REFUSE:   UniqueRefuse,
}
