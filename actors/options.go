package actors

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"carillon/actors/internal/timing"
	"carillon/dispatch"
	"carillon/storage"
)

// Options of Open. Only Functions is required.
type Options struct {
	// Functions are the functions of every app. Open seals the registry, and refuses
	// one that a package binds handlers in without binding all that it declares
	// (Registry.Check). Required.
	Functions *dispatch.Registry
	// Tables are the tables that have indexes. Open refuses to go without one that
	// is declared by a package of Functions, or by one of another listed table.
	// Default none.
	Tables []storage.Schema

	// Crons are the declared triggers. Every app's are brought in line with them by
	// name: an unchanged one is left alone. Open refuses faulty ones, naming all of
	// them. Default none.
	Crons []dispatch.Trigger

	// Pools are the pools that functions and jobs may be in (dispatch.InPool). Open refuses
	// two of one name, and a function whose pool is not among them. A job that is stored
	// with a pool that is not among them is held. Default none.
	Pools []*dispatch.Pool

	// Program is the name of this program, which the directory is marked with: Open
	// refuses one that bears another (storage.ErrProgram), before it changes
	// anything there, and marks one that bears none. 1 to 64 of A-Z a-z 0-9 _ - . /.
	// Default "": any directory is opened.
	Program string
	// AdoptEmpty has Open refuse a directory that bears no name and has apps,
	// instead of marking it with Program. Default false.
	AdoptEmpty bool

	// Log is the log that the nodes of a cluster have in common, in the place of one in the directory. Join makes a
	// node that waits for its turn, and Open owns the store at once. Log of package carillon/storage/postgres is one. Default none.
	Log storage.SharedLog
	// Node is this node, if there is a Log. Its Name must be given then.
	Node storage.Node

	// Volumes is how many files a new store gets, 1 to 64; an app stays in the
	// volume it was made in. Default 4.
	Volumes int
	// LockTimeout is how long Open waits for a volume in use, or for another node that owns the store. Default 1 s.
	LockTimeout time.Duration
	// LogKeep is how many bytes of the log are kept when the volume files have what they
	// say, so that a backup can go on from one that was made earlier; those kept longest
	// go first, also when the disk is full. At most 64 GiB; negative: none. Default 256 MiB.
	LogKeep int64

	// AppConcurrency is how many jobs of one app run at once, 1 to 100,000. Default 64.
	AppConcurrency int
	// Concurrency is how many jobs of all apps run at once, shared evenly
	// over the apps with due work, 1 to 1,000,000. Default 1,024.
	Concurrency int
	// AppStartsPerSecond is how many attempts of one app's jobs begin in any second, ticks
	// and retries among them, 1 to 100,000. Those above it wait, and nothing is refused. It is
	// kept in memory: after a restart, or a sleep of the app, it begins anew. Default 0:
	// any number.
	AppStartsPerSecond int
	// MaxJobs is how many pending and running jobs an app may have. Default 10,000,000.
	MaxJobs int
	// MaxArgBytes is how many bytes of arguments those jobs may have together; ticks of
	// triggers are counted and never refused. Default 16 GiB.
	MaxArgBytes int64
	// MaxResult is how many bytes of JSON the result of a job may have to be kept with it in
	// the history, at most 1 MiB; of a larger one its length is kept. Negative: none is kept.
	// Default 64 KiB.
	MaxResult int
	// MaxResultBytes is how many bytes the results in an app's history may have together,
	// those of up to 256 bytes not counted: a new one takes the place of the oldest.
	// Default 256 MiB.
	MaxResultBytes int64
	// MaxCheckpointBytes is how many bytes the checkpoints of an app's jobs may have together,
	// those of dead jobs among them (ActionCtx.Checkpoint). Default 64 MiB.
	MaxCheckpointBytes int64
	// MaxWaiters is how many calls of App.Wait an app may have at once. Default 100,000.
	MaxWaiters int
	// MaxWatchers is how many calls of App.Watch the engine may have at once. Default 10,000.
	MaxWatchers int
	// MaxWatched is how many jobs the snapshot of one of them may have. Default 10,000.
	MaxWatched int
	// MaxSubscriptions is how many live queries (App.Live, App.Subscribe) the engine may have at
	// once, and MaxAppSubscriptions one app of it. Defaults 100,000 and 10,000.
	MaxSubscriptions, MaxAppSubscriptions int
	// MaxSubscriptionBytes is how many bytes the live queries of the engine may take together,
	// with their arguments, latest results and read sets; those of one app a quarter of it. 1 KiB
	// or more. Default 256 MiB.
	MaxSubscriptionBytes int64
	// TxLimits bound what one mutation writes, with all that is nested in it. The
	// call that would pass one is refused with resource_exhausted, which a job is
	// not retried for. Default 10,000 jobs scheduled, 48,000 writes, 16 MiB.
	TxLimits storage.TxLimits
	// AppLimits gives single apps limits of their own. It is asked whenever an app is
	// taken up, which keeps them while it is in memory; it must return at once and must
	// not use the engine. Default: every app has the same.
	AppLimits func(storage.AppID) AppLimits
	// Limits bound the JSON of one call. Default 1 MiB for arguments and for results.
	Limits dispatch.Limits

	// QueryTimeout, MutationTimeout and ActionTimeout bound a run whose function
	// and job say nothing else. Defaults 5 s, 5 s and 10 min.
	QueryTimeout, MutationTimeout, ActionTimeout time.Duration
	// TurnWait bounds how long a call of a client, the host or an action waits until it
	// begins: a mutation, until it has the app's turn. Then it is refused with
	// unavailable and certainly not applied. MutationTimeout and the others count from
	// the begin. Due jobs wait without a bound; a job whose action's call was refused so
	// is interrupted by that, and its policy spends nothing. Default MutationTimeout and
	// 10 ms, so that a call behind a mutation that overruns gets its turn.
	TurnWait time.Duration
	// Grace is how long after its deadline an action may take to return before it
	// is given up and its permit freed, and how long any handler that was told to stop
	// may take before it is stuck (Engine.Stuck). Default 5 s.
	Grace time.Duration

	// Retention is how long finished jobs are kept in the history. Default 7 days.
	Retention time.Duration
	// KeepFinished is how many finished jobs of an app the history keeps at most.
	// Default 100,000.
	KeepFinished int
	// DeadRetention is how long dead jobs are kept, to be looked at and retried.
	// Those that an older release has left count from when this one first looks at
	// their app. Negative keeps them for ever. Default 30 days.
	DeadRetention time.Duration
	// KeepDead is how many dead jobs of an app are kept at most; the oldest go first.
	// Negative keeps all. Default 100,000.
	KeepDead int
	// HoldFor is how long a job is held that this program cannot run, before it is dead.
	// Default 0: until a person drops it, or a program opens the store that can run it.
	HoldFor time.Duration
	// MaxInterruptions is how many crashes in a row may cut a job's attempt off
	// before it is dead as a suspected poison, 1 or more. The first that finds the job claimed
	// is not one of them, as nothing tells whether its handler had begun. Default 10.
	MaxInterruptions int

	// IdleAfter is how long an app with nothing to do stays in memory. Default 10 s.
	IdleAfter time.Duration
	// ClaimAhead is how long before its instant a job's claim is made durable.
	// Default 100 ms.
	ClaimAhead time.Duration
	// ClockCheck is how often the wall clock is compared with the monotonic one,
	// and so how late a job can be after a suspend or a step of the clock. Default 1 s.
	ClockCheck time.Duration

	// MaxApps is how many apps the store may have. A call that could make one more,
	// or an import, is refused with resource_exhausted; those that exist are served
	// whatever there is, and so are those that Crons name. Default 0: any number.
	MaxApps int
	// Admit may refuse an app's calls; it is asked in the caller's goroutine before
	// an app is first called, and again after it has been idle. Unless the app exists,
	// to admit it is to let it come into being. Jobs that an app has are not asked
	// about, nor the calls of their actions. Default: every app is admitted.
	Admit func(ctx context.Context, app storage.AppID, exists bool) error
	// Reauthorize rebuilds the identity of a job scheduled with AsCaller when it
	// runs, and may refuse it: an *Error of code unavailable or deadline_exceeded
	// is retried, any other ends the job as failed. Default: the stored identity holds.
	Reauthorize func(context.Context, storage.AppID, *dispatch.Identity) (*dispatch.Identity, error)

	trusting    bool // Reauthorize is the default
	systemClock bool // Testing.Clock is

	// Logger is told what no caller can be. Default slog.Default().
	Logger *slog.Logger

	// Still has the engine begin nothing by itself, for what looks after a directory that is
	// not served: no job is claimed, no trigger ticks or is brought in line with Crons, no index
	// is built, nothing is purged and no app is woken. Functions are not called, which is
	// failed_precondition. What the host asks for is done: jobs are scheduled, changed and
	// canceled, triggers and pauses changed, operations worked off. Default false.
	Still bool
	// ReadOnly is Still, and opens an existing directory, of any program, for reading
	// (storage.Options.ReadOnly): nothing is written, not even what Open writes else, and each
	// change is refused. Several processes may have it open so. Default false.
	ReadOnly bool

	// Testing is for tests. Default: none of it.
	Testing Testing
}

func (o Options) withDefaults() Options {
	o.AppConcurrency = cmp.Or(o.AppConcurrency, 64)
	o.MaxJobs = cmp.Or(o.MaxJobs, 10_000_000)
	o.MaxArgBytes = cmp.Or(o.MaxArgBytes, 16<<30)
	o.MaxResult = cmp.Or(o.MaxResult, 64<<10)
	o.MaxResultBytes = cmp.Or(o.MaxResultBytes, 256<<20)
	o.MaxCheckpointBytes = cmp.Or(o.MaxCheckpointBytes, 64<<20)
	o.MaxWaiters = cmp.Or(o.MaxWaiters, 100_000)
	o.MaxWatchers = cmp.Or(o.MaxWatchers, 10_000)
	o.MaxWatched = cmp.Or(o.MaxWatched, 10_000)
	o.MaxSubscriptions = cmp.Or(o.MaxSubscriptions, 100_000)
	o.MaxAppSubscriptions = cmp.Or(o.MaxAppSubscriptions, 10_000)
	o.MaxSubscriptionBytes = cmp.Or(o.MaxSubscriptionBytes, 256<<20)
	o.Concurrency = cmp.Or(o.Concurrency, 1024)
	o.KeepFinished = cmp.Or(o.KeepFinished, 100_000)
	o.KeepDead = cmp.Or(o.KeepDead, 100_000)
	o.MaxInterruptions = cmp.Or(o.MaxInterruptions, 10)
	o.TxLimits = o.TxLimits.WithDefaults()
	o.QueryTimeout = cmp.Or(o.QueryTimeout, 5*time.Second)
	o.MutationTimeout = cmp.Or(o.MutationTimeout, 5*time.Second)
	o.ActionTimeout = cmp.Or(o.ActionTimeout, 10*time.Minute)
	o.TurnWait = cmp.Or(o.TurnWait, o.MutationTimeout+10*time.Millisecond)
	o.Grace = cmp.Or(o.Grace, 5*time.Second)
	o.Retention = cmp.Or(o.Retention, 7*24*time.Hour)
	o.DeadRetention = cmp.Or(o.DeadRetention, 30*24*time.Hour)
	o.IdleAfter = cmp.Or(o.IdleAfter, 10*time.Second)
	o.ClaimAhead = cmp.Or(o.ClaimAhead, 100*time.Millisecond)
	o.ClockCheck = cmp.Or(o.ClockCheck, time.Second)
	if o.trusting = o.Reauthorize == nil; o.trusting {
		o.Reauthorize = func(_ context.Context, _ storage.AppID, id *dispatch.Identity) (*dispatch.Identity, error) {
			return id, nil
		}
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.Still = o.Still || o.ReadOnly; o.Still {
		o.Crons = nil // an app that comes into being has those of the program when that serves it
	}
	if o.systemClock = o.Testing.Clock == nil; o.systemClock {
		o.Testing.Clock = time.Now
	}
	o.Testing.Claims = cmp.Or(o.Testing.Claims, engineClaims)
	o.Testing.ClaimBytes = cmp.Or(o.Testing.ClaimBytes, claimBytes)
	if o.Testing.Suspended == nil {
		o.Testing.Suspended = timing.Suspended
	}
	return o
}

// validate names every field at fault. What storage bounds, storage validates.
func (o Options) validate() error {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, dispatch.Errorf(dispatch.CodeInvalidArgument, "options: %s is %v, want %s", field, value, want))
	}
	if o.Functions == nil {
		bad("Functions", nil, "a registry")
	}
	if o.AppConcurrency < 1 || o.AppConcurrency > 100_000 {
		bad("AppConcurrency", o.AppConcurrency, "1 to 100,000")
	}
	if o.AppStartsPerSecond < 0 || o.AppStartsPerSecond > maxStartRate {
		bad("AppStartsPerSecond", o.AppStartsPerSecond, "0 to 100,000")
	}
	if o.Concurrency < 1 || o.Concurrency > 1_000_000 {
		bad("Concurrency", o.Concurrency, "1 to 1,000,000")
	}
	if o.MaxInterruptions < 1 {
		bad("MaxInterruptions", o.MaxInterruptions, "1 or more")
	}
	if o.MaxApps < 0 {
		bad("MaxApps", o.MaxApps, "0 or more")
	}
	if o.MaxResult > 1<<20 {
		bad("MaxResult", o.MaxResult, "1 to 1,048,576, or negative")
	}
	if o.MaxWaiters < 1 {
		bad("MaxWaiters", o.MaxWaiters, "1 or more")
	}
	if o.MaxWatchers < 1 {
		bad("MaxWatchers", o.MaxWatchers, "1 or more")
	}
	if o.MaxWatched < 1 {
		bad("MaxWatched", o.MaxWatched, "1 or more")
	}
	if o.MaxSubscriptions < 1 {
		bad("MaxSubscriptions", o.MaxSubscriptions, "1 or more")
	}
	if o.MaxAppSubscriptions < 1 {
		bad("MaxAppSubscriptions", o.MaxAppSubscriptions, "1 or more")
	}
	if o.MaxSubscriptionBytes < 1<<10 {
		bad("MaxSubscriptionBytes", o.MaxSubscriptionBytes, "1 KiB or more")
	}
	if o.KeepFinished < 1 {
		bad("KeepFinished", o.KeepFinished, "1 or more")
	}
	for _, span := range []struct {
		field string
		value time.Duration
	}{
		{"QueryTimeout", o.QueryTimeout},
		{"MutationTimeout", o.MutationTimeout},
		{"ActionTimeout", o.ActionTimeout},
		{"TurnWait", o.TurnWait},
		{"Grace", o.Grace},
		{"Retention", o.Retention},
		{"IdleAfter", o.IdleAfter},
		{"ClaimAhead", o.ClaimAhead},
		{"ClockCheck", o.ClockCheck},
	} {
		if span.value < time.Millisecond {
			bad(span.field, span.value, "1 ms or more")
		}
	}
	if err := o.TxLimits.Check(); err != nil {
		errs = append(errs, err)
	}
	if o.DeadRetention > 0 && o.DeadRetention < time.Millisecond {
		bad("DeadRetention", o.DeadRetention, "1 ms or more, or negative")
	}
	if o.HoldFor != 0 && o.HoldFor < time.Millisecond {
		bad("HoldFor", o.HoldFor, "0, or 1 ms or more")
	}
	return errors.Join(errs...)
}

// timeout is the bound of one run of the function.
func (o *Options) timeout(fn *dispatch.Function) time.Duration {
	if fn.Deadline > 0 {
		return fn.Deadline
	}
	switch fn.Kind {
	case dispatch.KindQuery:
		return o.QueryTimeout
	case dispatch.KindMutation:
		return o.MutationTimeout
	default:
		return o.ActionTimeout
	}
}
