package dispatch

import (
	"fmt"
	"time"

	"carillon/storage"
)

// MaxPoolLimit bounds the limit of a pool, and MaxRate and MaxRateSpan its rate.
const (
	MaxPoolLimit = 100_000
	MaxRate      = 10_000
	MaxRateSpan  = 24 * time.Hour
)

// Pool bounds how many attempts of an app's jobs run at once: those of the functions and
// jobs that join it (InPool). Each app has as many permits as the limit says, and with
// keys each key of each app. It is listed in the engine's Options.Pools.
type Pool struct {
	name    string
	limit   int
	held    bool
	ordered bool
	shared  bool
	rate    int
	span    time.Duration
}

// PoolOption changes a pool.
type PoolOption func(*Pool)

// HoldWhileStuck has a permit of the pool stay taken while a handler that was given up
// has not returned. Without it such a handler holds none, and is shown beside the limit.
func HoldWhileStuck() PoolOption { return func(p *Pool) { p.held = true } }

// Rate has at most n attempts of the pool begin in any span of that length, wherever it
// lies: NewPool("stripe", 5, Rate(100, time.Minute)). It counts retries, and of a pool with
// keys each key by itself; crashes, restarts and steps of the clock begin no new count. A
// job that waits for the rate begins at the instant when it may. n is 1 to MaxRate, the
// span a millisecond to MaxRateSpan; NewPool panics if they are not.
func Rate(n int, span time.Duration) PoolOption {
	return func(p *Pool) {
		if n < 1 || n > MaxRate || span < time.Millisecond || span > MaxRateSpan {
			panic(fmt.Sprintf("dispatch: pool %s: rate of %d in %v, want 1 to %d in 1ms to %v", p.name, n, span, MaxRate, MaxRateSpan))
		}
		p.rate, p.span = n, span
	}
}

// NewPool makes a pool of so many permits, 1 to MaxPoolLimit. The name is 1 to 64 letters,
// digits, _, - and ".". It panics if one of them is not so, or the options do not fit.
func NewPool(name string, limit int, opts ...PoolOption) *Pool {
	if err := storage.CheckPoolName(name); err != nil {
		panic("dispatch: " + err.Error())
	}
	if limit < 1 || limit > MaxPoolLimit {
		panic(fmt.Sprintf("dispatch: pool %s: limit %d, want 1 to %d", name, limit, MaxPoolLimit))
	}
	p := &Pool{name: name, limit: limit}
	for _, opt := range opts {
		opt(p)
	}
	if err := p.checkOrdered(); err != nil {
		panic("dispatch: " + err.Error())
	}
	return p
}

// Name returns the name of the pool.
func (p *Pool) Name() string { return p.name }

// Limit returns the limit that the pool was declared with.
func (p *Pool) Limit() int { return p.limit }

// Rate returns how many attempts may begin in any span of that length; 0 if that is not
// bounded.
func (p *Pool) Rate() (n int, span time.Duration) { return p.rate, p.span }

// HoldsWhileStuck says whether the pool has HoldWhileStuck.
func (p *Pool) HoldsWhileStuck() bool { return p.held }

// Placement is where jobs wait, and before which others. For engines.
type Placement struct {
	Pool     *Pool  // nil: none
	PoolKey  string // within the pool; "": none
	Priority int    // 1 (first) to 4; 0: not said
	unpooled bool
}

// JobOption is an option of one job, or of a function for all of its jobs that say nothing
// else.
type JobOption func(*Placement)

func (o JobOption) changeRun(to *runOptions)  { o(&to.placement) }
func (o JobOption) changeFunction(info *Info) { o(&info.Placement) }

// InPool has each attempt of the job hold a permit of the pool. With a key, of at most 256
// bytes of UTF-8 without a zero byte, the limit is that of the key: InPool(perUser, userID)
// with a limit of 1 runs one job of a user at a time. A key that nothing waits or runs for
// costs nothing. A job that waits for its permit holds no other, and keeps no other job
// back: jobs of a pool begin by priority, then by due instant. A nil pool is none.
func InPool(pool *Pool, key ...string) JobOption {
	return func(to *Placement) {
		to.Pool, to.PoolKey, to.unpooled = pool, "", pool == nil
		if len(key) > 0 {
			to.PoolKey = key[0]
		}
	}
}

// Priority says before which others a job begins that is due and waits for a permit: 1 is
// first, 4 is last, and 2 is what a job has that says nothing. It is overtaken only by jobs
// that are due at most a minute later for each level that they are before it, so that none
// waits for ever.
func Priority(level int) JobOption { return func(to *Placement) { to.Priority = level } }

// over is the placement of a job of the function.
func (p Placement) over(of Placement) Placement {
	if p.Pool == nil && !p.unpooled {
		p.Pool, p.PoolKey = of.Pool, of.PoolKey
	}
	if p.Priority == 0 {
		p.Priority = of.Priority
	}
	return p
}

// Check says what is wrong with the placement, or nil. pools are those that the engine
// has, by name.
func (p Placement) Check(pools map[string]*Pool) error {
	if p.Priority < 0 || p.Priority > storage.MaxPriority {
		return fmt.Errorf("priority %d, want %d to %d", p.Priority, storage.MinPriority, storage.MaxPriority)
	}
	if p.Pool == nil {
		if p.PoolKey != "" {
			return fmt.Errorf("pool key %q without a pool", p.PoolKey)
		}
		return nil
	}
	if pools[p.Pool.name] != p.Pool {
		return fmt.Errorf("pool %s is not one of the engine's (Options.Pools)", p.Pool.name)
	}
	return storage.CheckPoolKey(p.PoolKey)
}

// Place puts a job of the function where it waits, as far as the function says.
func (p Placement) Place(job *storage.Job) {
	if p.Priority != 0 {
		job.Priority = p.Priority
	}
	if p.Pool != nil {
		job.Pool, job.PoolKey, job.Ordered = p.Pool.name, p.PoolKey, p.Pool.ordered
	}
}
