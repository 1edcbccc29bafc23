package storage

import (
	"cmp"
	"errors"
	"fmt"
)

// TxLimits bound what the code of a user may do in one transaction, so that one
// app's transaction cannot keep the committer from those of the others for long.
// Zero fields have the defaults they say.
type TxLimits struct {
	// Jobs is how many jobs a transaction may schedule, the first ticks of triggers
	// that it makes among them. Default 10,000.
	Jobs int
	// Writes is how many keys it may change. A document is one, and one more for
	// each index whose entry changes (two if it moves); a job that is scheduled is
	// one, or two with an id of its own, and one more if a job schedules it; one that is
	// canceled is four, or five if it is the retry of a tick. A key that is changed twice
	// counts once. Default 48,000.
	Writes int
	// Bytes bounds those keys with their values. Default 16 MiB.
	Bytes int
}

// defaultTxLimits are the limits where nothing else is said.
var defaultTxLimits = TxLimits{Jobs: 10_000, Writes: 48_000, Bytes: 16 << 20}

// WithDefaults returns the limits with the defaults in the place of zeros.
func (l TxLimits) WithDefaults() TxLimits {
	return TxLimits{
		Jobs: cmp.Or(l.Jobs, defaultTxLimits.Jobs), Writes: cmp.Or(l.Writes, defaultTxLimits.Writes), Bytes: cmp.Or(l.Bytes, defaultTxLimits.Bytes),
	}
}

// Check says in one error which fields are out of bounds: each is 1 or more, or
// 0 for its default.
func (l TxLimits) Check() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int
	}{{"Jobs", l.Jobs}, {"Writes", l.Writes}, {"Bytes", l.Bytes}} {
		if f.value < 0 {
			errs = append(errs, invalid("TxLimits.%s is %d, want 1 or more", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

// Bounded is JobWriter for the code of a user: what is written through it, its
// Writer and all that is nested in it is held to the limits together. The call
// that would pass one is refused (ErrTxLimit) and changes nothing. The engine's
// own writes in the same transaction go through JobWriter, and are counted but
// never refused.
func (tx *Tx) Bounded(limits *TxLimits) JobWriter {
	v := tx.view()
	v.limits = limits
	return JobWriter{v}
}

// spare says whether the transaction may schedule so many jobs more, and write so
// many keys of so many bytes in all. The caller has locked the transaction.
func (v *view) spare(jobs, writes, bytes int) error {
	if v.limits == nil {
		return nil
	}
	for _, l := range v.tx.layers {
		jobs += l.jobs
		writes += l.m.Len()
		bytes += l.bytes
	}
	switch {
	case jobs > v.limits.Jobs:
		return fmt.Errorf("%w: it may schedule %d jobs", ErrTxLimit, v.limits.Jobs)
	case writes > v.limits.Writes:
		return fmt.Errorf("%w: it may make %d writes", ErrTxLimit, v.limits.Writes)
	case bytes > v.limits.Bytes:
		return fmt.Errorf("%w: it may write %d bytes", ErrTxLimit, v.limits.Bytes)
	}
	return nil
}

// Weight is what the transaction has written so far, in bytes, each key counting some
// more, as the committer counts it.
func (tx *Tx) Weight() (weight int) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	for _, l := range tx.layers {
		weight += l.weight()
	}
	return weight
}
