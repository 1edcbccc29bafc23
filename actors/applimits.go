package actors

import (
	"cmp"
	"errors"
	"fmt"

	"carillon/storage"
)

// AppLimits are limits of one app, for Options.AppLimits. A zero field is what the
// Options say for every app, within the same bounds.
type AppLimits struct {
	MaxJobs            int              // instead of Options.MaxJobs
	MaxArgBytes        int64            // instead of Options.MaxArgBytes
	MaxResultBytes     int64            // instead of Options.MaxResultBytes
	MaxCheckpointBytes int64            // instead of Options.MaxCheckpointBytes
	Concurrency        int              // instead of Options.AppConcurrency
	StartsPerSecond    int              // instead of Options.AppStartsPerSecond
	TxLimits           storage.TxLimits // each field instead of that of Options.TxLimits
}

// limitsOf asks for the limits of the app. Ones that are out of bounds, and a panic, are
// logged, and those of every app stand: a slip in a number must not stop an app's jobs.
func (e *Engine) limitsOf(id storage.AppID) AppLimits {
	o := &e.opts
	every := AppLimits{o.MaxJobs, o.MaxArgBytes, o.MaxResultBytes, o.MaxCheckpointBytes, o.AppConcurrency, o.AppStartsPerSecond, o.TxLimits}
	if e.opts.AppLimits == nil {
		return every
	}
	own, err := askLimits(e.opts.AppLimits, id)
	if err == nil {
		err = own.check()
	}
	if err != nil {
		e.opts.Logger.Error("AppLimits: the app has the limits of every app", "app", id, "err", err)
		return every
	}
	for _, f := range []struct{ own, every *int }{
		{&own.MaxJobs, &every.MaxJobs},
		{&own.Concurrency, &every.Concurrency},
		{&own.StartsPerSecond, &every.StartsPerSecond},
		{&own.TxLimits.Jobs, &every.TxLimits.Jobs},
		{&own.TxLimits.Writes, &every.TxLimits.Writes},
		{&own.TxLimits.Bytes, &every.TxLimits.Bytes},
	} {
		if *f.own == 0 {
			*f.own = *f.every
		}
	}
	own.MaxArgBytes = cmp.Or(own.MaxArgBytes, every.MaxArgBytes)
	own.MaxResultBytes = cmp.Or(own.MaxResultBytes, every.MaxResultBytes)
	own.MaxCheckpointBytes = cmp.Or(own.MaxCheckpointBytes, every.MaxCheckpointBytes)
	return own
}

func askLimits(ask func(storage.AppID) AppLimits, id storage.AppID) (own AppLimits, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return ask(id), nil
}

func (l *AppLimits) check() error {
	err := l.TxLimits.Check()
	if l.MaxJobs < 0 {
		err = errors.Join(err, fmt.Errorf("field MaxJobs is %d, want 1 or more", l.MaxJobs))
	}
	if l.MaxArgBytes < 0 {
		err = errors.Join(err, fmt.Errorf("field MaxArgBytes is %d, want 1 or more", l.MaxArgBytes))
	}
	if l.MaxResultBytes < 0 {
		err = errors.Join(err, fmt.Errorf("field MaxResultBytes is %d, want 1 or more", l.MaxResultBytes))
	}
	if l.MaxCheckpointBytes < 0 {
		err = errors.Join(err, fmt.Errorf("field MaxCheckpointBytes is %d, want 1 or more", l.MaxCheckpointBytes))
	}
	if l.StartsPerSecond < 0 || l.StartsPerSecond > maxStartRate {
		err = errors.Join(err, fmt.Errorf("field StartsPerSecond is %d, want 1 to 100,000", l.StartsPerSecond))
	}
	if l.Concurrency < 0 || l.Concurrency > 100_000 {
		err = errors.Join(err, fmt.Errorf("field Concurrency is %d, want 1 to 100,000", l.Concurrency))
	}
	return err
}
