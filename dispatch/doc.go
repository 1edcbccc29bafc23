// Package dispatch is what an app server's functions are written against:
// references, the three contexts, calls, errors; and what an engine runs them
// with: the registry, the planner of jobs, the invocation. It has never heard of
// files or actors.
//
// Use:
//
//	var (
//		notes = storage.NewTable[Note]("notes")
//		post  = dispatch.Mutation[Note, storage.ID[Note]]("notes:post")
//		burn  = dispatch.InternalMutation[storage.ID[Note], dispatch.None]("notes:burn")
//	)
//
//	reg := dispatch.NewRegistry()
//	post.Handle(reg, func(ctx *dispatch.MutationCtx, n Note) (storage.ID[Note], error) {
//		id, err := notes.Insert(ctx.DB, n)
//		if err != nil {
//			return "", err
//		}
//		_, err = ctx.Scheduler.RunAfter(time.Hour, burn.With(id)) // stored with the note, or neither
//		return id, err
//	})
//
// A reference is declared first and its handler bound later, because Go rejects
// a function that schedules itself as an initialization cycle otherwise. One that
// is left without a handler is refused when an engine opens (Registry.Check).
//
// What a context must not do does not compile:
//
//	            runs queries  runs mutations  runs actions  Scheduler  DB
//	QueryCtx        yes             -              -            -      Reader
//	MutationCtx     yes            yes             -           yes     Writer
//	ActionCtx       yes            yes            yes          yes     -
//	Caller          yes            yes            yes           -      -
//
// One invocation, wherever it comes from:
//
//	client  host  due job  cron tick  function
//	   └──────┴──────┼─────────┴─────────┘
//	             Invocation
//	                 │ Registry.Resolve: path → Function, or not_found
//	                 │ size, depth, strict decoding → invalid_argument
//	                 ▼
//	 RunQuery(snapshot) | RunMutation(transaction) | RunAction()
//	                 │
//	             handler ──Run──► inside a query or mutation: a nested run, same transaction
//	                 │            from an action or a Caller: Invoker, a new Invocation
//	                 ▼
//	 result as JSON, or *Error{code, path, message}; a panic is internal
//
// # Names
//
// For functions and their hosts: Action, ActionCtx, ActionRef, ActionRunner, After, Alert,
// AlertKind, AlertTarget, AsCaller, AsError, At, AtMostOnce, Auth, Await, Backfill, Backoff,
// Because, Call, Caller, CancelOption, Cascade, ChangeOption, CheckRemotePrefix,
// CheckpointOf, Code, Codes, CronInfo, Crons, DeadHook, Deadline, DeclineWait, DefaultLimit,
// DefaultPending, DefaultRetry, Defaults, DueAt, DueIn, Error, Errorf, ExpiresAfter,
// Formerly, FromInstance, FunctionOption, HandlerRun, HoldWhileStuck, ID, Identity, IfArgs, InGroup, InPool,
// InternalAction, InternalMutation, InternalQuery, IsPermanent, JobOption, JobRun,
// JobWaiter, Keep, KeepResult, KeepResultOption, Limits, MaxAttempts, MaxBatch, MaxChain,
// MaxDepth, MaxIdempotencyKey, MaxIdentity, MaxJitter, MaxMessage, MaxNesting, MaxPath,
// MaxPending, MaxPoolLimit, MaxProgressNote, MaxRate, MaxRateSpan, MaxRetryAfter,
// MaxUniqueSpan, Middleware, Mutation, MutationCtx, MutationRef, MutationRunner, NewArgs,
// NewPool, NewRegistry, NewSharedPool, NoRetry, None, NotAfter, OfApp, OfFunction, OfPool,
// OnDone, Once, Ordered, PanicError, Path, Permanent, Pool, PoolOption, Postponement,
// Priority, Query, QueryCtx, QueryRef, QueryRunner, Rate, Refuse, Registry, RemoteCall,
// RemoteCaller, RemoteTooLarge, Replace, ResultOf, Retry, RetryAfter, RetryAfterOption,
// RetryPolicy, RunOption, Scheduled, Scheduler, SessionKeyFor, StrictArgs, StuckHook,
// StuckRun, Tags, TagsOption, Tell, Throttle, Tick, Timeout, Trace, TraceOf, Trigger,
// TriggerFault, TriggerFaults, Unique, UniquePolicy, Upcoming, WholePool,
// WithIdempotencyKey, WithOperatorKey, WithRetry, WithSessionKey, WithTrace, Workflows.
//
// For engines, and they change with the engine: Cascades, CauseOf, Changes, CheckStored,
// DecodeIdentity, EncodeResult, Env, Function, Info, InsertMany, Invocation, Invoker,
// IsWorkflow, KeptLevel, KeyedCall, Kind, Lines, NewCaller, Notes, Origin, Placement,
// Planner, RemoteJob, ScheduleOf, StoredArgs, TakeIdempotencyKey, TellMany, TellScheduled,
// TraceIn, TraceRun.
//
// # Triggers
//
// A Trigger says what to call when. Planner.CheckTriggers says what those that a
// program declares come to, or what is wrong with every faulty one of them;
// PlanTrigger does so for one that is made at run time. Neither knows of any app.
// What becomes of a slot is the engine's to decide, by these rules:
//
//	slot ──► its tick is pending ──┬─ claimed ──────────────────────────► fired
//	                               ├─ canceled before it began ─────────► canceled
//	                               ├─ one runs or waits for its retry, and
//	                               │  they may not overlap ───────────────► skipped
//	                               ├─ more than 5 s late, not caught up ──► skipped
//	                               └─ trigger paused, changed or faulty ──► skipped
//
// Every slot from the making of the trigger on ends in one of the three ways,
// once, and the slot log says which. Fired says that a run was begun, and nothing of
// what came of it: that is the state of its job, canceled for one that was replaced. A clock that is stepped back brings no slot
// again: a trigger waits until the wall has come to where it was. A trigger whose
// spec or zone is changed begins anew at that moment; an interval takes its phase
// from there. Of the old definition nothing begins any more then: neither a tick
// that was claimed already, nor one that was to be caught up, nor a retry. A
// pause lets retries go on, because their slot was begun before it.
//
// A tick that has failed and waits for its retry counts as running, so that no slot
// runs after a later one has: the next tick is skipped, waits, or replaces it.
// Without a policy of its trigger or function it is tried again only if that begins
// before the next slot. What is replaced before it has begun is skipped; what had
// begun has fired, is canceled, and the log says by which tick.
//
// A trigger that cannot tick, such as one whose zone this machine does not know,
// is faulty, and says why. It is wound anew when its app is taken up after a start,
// when it is resumed, or updated.
//
// A Trigger AtStart has no spec: it ticks once in each process that opens the store,
// under an id that is made of its name and the volume's epoch. A tick that has not
// begun when the process ends is skipped; one that has begun is one of those that the
// next overlaps.
//
// A run by hand is no tick. It has no slot, and takes none: a tick that may not
// overlap with it waits until it has ended.
//
// # Invariants
//
//	D1  A client sees an internal function exactly as it sees an unknown one.
//	D2  A call that could never run (unknown path, a query, arguments that do not
//	    fit) is refused when it is scheduled, before anything is stored.
//	D3  A job is never due before the instant asked for: instants, delays and waits
//	    are rounded up to whole milliseconds and never overflow.
//	D4  A nested mutation that fails or panics loses its own writes and jobs and
//	    nothing else; one that succeeds shares the outer one's fate.
//	D5  Nothing but an *Error leaves a run, and what is not ours is "internal error"
//	    to the caller, with the detail in Err for the log.
//	D6  A job runs as the identity stored with it, or anonymously; an identity has
//	    the same claims at the request and at the run.
//	D7  A context or a caller that is used after its handler has returned runs nothing.
//	D8  Arguments, results, identities, paths, messages, nesting of JSON and of runs
//	    are bounded, and each bound is a constant or a field of Limits.
//	D9  Of what a handler can hold nothing changes a job or a trigger but its
//	    Scheduler, which checks every call (D2).
//
// Two things cannot be recovered here: runtime.Goexit ends the goroutine the
// engine called on, so the engine owns a goroutine that reports its end; and a
// fatal error of the Go runtime (stack overflow, concurrent map writes) ends the process.
package dispatch
