// Package actors is the engine: one actor system in which each app has a
// SchedulerActor that owns its state and a Runner that runs its functions. It
// is the only package with timers, and the only one that knows the actor library.
//
//	eng, err := actors.Open("data", actors.Options{Functions: functions()})
//	if err != nil {
//		return err
//	}
//	defer eng.Close(context.Background())
//	app, err := eng.App("acme")
//	if err != nil {
//		return err
//	}
//	id, err := post.Run(app.As(ctx, identity), Note{Text: "hi"})
//
// The tree of actors, and what goes between them:
//
//	engine
//	├─ directory        spawns app actors, lets callers in, puts idle apps to sleep
//	│  └─ app/<name>    supervisor of one app's two actors
//	│     ├─ runner     resolves, decodes, rebuilds the identity, runs functions
//	│     └─ scheduler  state, turn, claims, alarm
//	├─ broker           shares the engine-wide limit of running jobs
//	└─ waker            wakes sleeping apps; notices steps of the clock
//
//	caller ──invocation──► runner ──turn──► scheduler ──batch──► goroutine of the runner
//	                         ▲                 │ ▲                     │ change sets
//	                         └──── due job ────┘ └──── batchEnded ◄────┤
//	                                             ▲                     ▼
//	                             committed ──────┴──────────── storage's committer
//
// An RPC and a due job are the same message to the runner. A query runs on a
// snapshot, an action in its own goroutine, a mutation when it has the turn. The
// turn is passed from mutation to mutation in one goroutine (turnbatch.go), and goes
// back to the SchedulerActor for everything that is more than writing.
//
// The life of an app (phase.go). Its state is read, its indexes are built, its triggers
// brought in line with the declared ones. When a change set is lost it goes back to read
// the state again:
//
//	        state read           indexes built          triggers aligned
//	opening ──────────► indexing ────────────► aligning ────────────────► serving
//	   ▲                   │                    ▲    │ ◄───────────────────── │
//	   └─── state lost ────┘         state read │    │    triggers doubted    │
//	                                            │    ▼                        │
//	                                           failed ◄────── state lost ─────┘
//
// At each stage it can drain, for a hold or the end of the engine, and go on if the hold
// is taken back. While it drains it goes the same way, but begins nothing. When it
// falls asleep, or the engine ends, it is stopped and changes nothing more. An app that
// does not exist is aligned as it comes into being.
//
// The way of a job:
//
//	in the bucket ──claim──► claimed ──durable──► queued ──instant, permit──► launched ──turn──► begun ──► ended
//	     ▲                      │                 │   ▲                          │                           │
//	     │                      │                 │   └────────too soon──────────┤                           │
//	     │                      └─────────────────┴──────────────────────────────┴──► dropped                │
//	     │                                                                              │                    │
//	     └── taken back (no attempt) ◄──────────────────────────────────────────────────┤                    │
//	     └── retry, or interrupted ◄────────────────────────────────────────────────────┴────────────────────┘
//
// An action that ends from outside is back in the bucket when its handler has returned, until it is
// answered or times out (outside.go).
//
// These are the phases of its run (runphase.go). A mutation is launched and waits for its
// turn, an action begins at once. A run is dropped whose handler never begins: its job was
// canceled, cannot run, or its claim is taken back, when the app drains or its volume failed.
// A queued run whose claim has to say first that it begins is claimed, and queued, once more.
// While a turn that cancels the job is not decided the run is withheld in its phase: an
// action whose permit comes meanwhile is parked, and queued again if the turn has not
// canceled it after all.
//
// A claim is made durable a little before the job's instant (Options.ClaimAhead),
// so that it costs no lateness; a job inserted as due now is inserted claimed. A job of a
// pool is claimed at its instant, and when its pool has a permit left (admit.go): a walk
// through the jobs of each priority (walks.go) finds that one is due, and from then on its lane is
// read from its index whenever a permit comes back. What waits is neither claimed nor written. A
// claim that a crash cut off is an interrupted attempt: counted and shown, but not taken from
// the retries, and tried again no sooner than it was due. Nothing durable tells whether its handler
// had begun, so it is no crash of the job's yet; but from then on the job's claims do (release.go), at
// the price of a commit: that the handler has not begun, and before it begins, that it is about
// to. Of the first kind a crash costs nothing, and of the other it is one. After two crashes in a
// row a job is a suspect: claimed at its instant and with ever fewer others, so that
// the next one does not count against those that run beside it; after
// Options.MaxInterruptions it is dead.
//
// How an attempt ended is judged by its cause, which the engine knows, and not by
// what the handler makes of it (cause.go). The first row that fits:
//
//	success, Permanent, RetryAfter, a panic      stands
//	the job was canceled                         canceled, whatever the handler returns
//	Close, a hold, the end of the lease          interrupted: no attempt of the policy; at most once: failed
//	a volume that failed or shed                 the same
//	a call of it that waited for TurnWait        the same
//	its deadline                                 deadline_exceeded
//	nothing of these                             the handler's error
//
// A handler that was given up and does not return is stuck (stuck.go): Go cannot end
// it. It holds no permit, what it asks for is refused, and it is logged, counted
// (Engine.Stuck) and told in the listing of its job (Job.Wait, Job.Reason), which waits for
// it, as the ticks of its trigger do that must not overlap. A person can have them go
// on (HostScheduler.Abandon), or forget that of a call (AbandonCall). With 64 of them in an app, jobs of the functions that
// have some wait, and their calls are refused.
//
// Time. The wall clock decides when a job is due and is read again when a timer
// has fired. What is written down follows the wall, smoothed: a step back of up to
// five minutes is bridged at half the speed, a larger one is followed at once. No
// order hangs on an instant: sequence numbers carry it. Timers follow the monotonic
// clock, so every reading of the clock notices when the wall has moved apart from
// it, and the waker has every app look again within Options.ClockCheck. A step of
// more than five minutes that no suspend accounts for begins a clock era (eras.go);
// while the wall is more than a day ahead of all that was written down before,
// nothing is deleted for its age until it has run so for an hour. The last
// milliseconds to an instant are waited for in a timer of the kernel's, which is
// nearer to it than the runtime's (timers.go); in virtual time in the runtime's.
//
// Too late. A job that has not begun by its NotAfter expires then (notafter.go): the claim
// of one that is claimed is taken back, and those that are not claimed, held ones among
// them, are found by an index, a chunk in a commit.
//
// Deploys. A job whose function is not here, is a query, or does not take the stored
// arguments is held (held.go): no attempt, no alarm, a reason. An engine whose registry
// has another fingerprint than the one they were held by wakes their apps once nothing
// is due, and each releases its held jobs a chunk at a time; what cannot run then
// either is held again. A trigger keeps one held tick and skips the slots after it.
//
// Retention. Readers pass over rows past it at once. An app that is awake deletes them
// when no job is due; the waker looks at the first rows of those that sleep, some in a
// minute, and wakes a few that have something to delete (expired.go).
//
// Herds. Sleeping apps are woken in the order they are due and 256 at a time, so
// that ten thousand due at one instant leave room for the others. Of the actors of
// apps that are awake a few run at once, behind pool.Gate: those with a caller inside
// first, in turn with all others.
//
// Load. While callers wait for more than their volume's committer writes in about a
// second, mutations that have not begun are shed (overload.go), those of an app that
// asks for much before those of one that asks for little. Queries, cancels, ticks and
// jobs are not. An attempt of a job that a shed call has cut off is an interruption.
//
// What another app can cost you. Apps share the processor, the committer of
// their volume and the permits of the engine, and nothing else. A function that
// never returns takes a core for as long, since Go cannot end it; its turn, its
// permit and its caller are free again at its deadline, an action's permit and caller
// Options.Grace later. Whatever one app does, be it panics, loops, huge values or
// a full quota, the jobs of the others begin, and their calls are answered, within
// 100 ms of when they would have been, 99 times of a hundred, while a core is left
// over (TestG24_Isolation).
//
// Invariants:
//
//	A1  Only the holder of an app's turn changes its state: the SchedulerActor while holder is nil, else the batch of turns that holds it.
//	A2  At most one transaction of an app is open, and the holder of the turn ends it.
//	A3  No user code runs in an actor, and none is waited for by one.
//	A4  Nothing leaves before it is durable: replies, starts and stops hang on the answer to a change set (output gate).
//	A5  A handler starts only after its claim is durable, when the wall has reached the due instant and not passed its NotAfter, and while it holds a permit.
//	A6  runs has every job claimed in the store that waits to run or runs. What is claimed and not in runs was interrupted if another incarnation has claimed it and the claim does not say that it has not begun, or if runs.lost has it without its end, which is written down again where it is known; else it has not begun.
//	A7  A run leaves runs in the same step in which its end, or its cancel, is submitted.
//	A8  started counts the runs that hold a permit, those launched and those begun, never above permits, nor the sum of permits above Options.Concurrency.
//	A9  At most one alarm timer is set, for the earliest thing to do; a message of another generation is ignored.
//	A10 After an error of a commit nothing is begun until every change set was answered and the state was read again.
//	A11 No message is sent to an app's actors after they were stopped: a caller acquires the app before and releases it after. A message for all apps acquires none: an app that has fallen asleep changes nothing, whatever it is told. A handler that was given up may return later; its message is dropped.
//	A12 What a hold waits for never waits for the hold: those inside an app that drains, and the actions it runs, are served (holds.go).
//	A13 Of a job's handlers at most one runs that was not abandoned, and none is begun while runs.left has one of the job.
//	A14 After a step of the wall nothing of an app is claimed or begun until what it proved false was put right (correction.go).
//	A15 An app, a run, a handler (stuck.go) and an app's door (holds.go) go from phase to phase as drawn. The SchedulerActor moves an app; an arrow that is not drawn panics there.
//	A16 Of a pool, or of a key of one, no more runs hold a permit than its limit says: those claimed, and those begun.
//	A17 A job with a unique key is not claimed while another of the key is in runs, or leaves, unless it may run beside it (uniquekeys.go).
//	A18 Of a lane of an ordered pool no job is claimed while another one of it is in runs, or has its turn in the store (ordered.go).
//	A19 Nothing of what is paused begins: none of it is claimed, and a claim whose handler has not begun is taken back when the pause is submitted (controls.go).
//	A20 Of a pool that all apps share no more permits are taken than its limit says. An app has one that no job of it has only within a step, or while a mutation has its turn (sharedpools.go).
//	A21 Of a lane whose pool has a rate, those claimed that have not begun, and those that have begun within the span by monotonic time, are no more than the rate says, unless it was declared anew; what of that is durable is a claim, or a start that its end has logged. Of a pool that all apps share so it is over all apps, with the permits that no job has yet (sharedrates.go).
//	A22 A backfill that goes on has one tick that is not claimed, unless its trigger is paused or faulty; of its ticks one runs at a time (backfill.go).
//	A23 Who waits for a job is told its end when that is durable; after a commit whose outcome is not known they look (waiters.go).
//	A24  Of an attempt at most one checkpoint, one progress and the log lines once are written in a second, and the checkpoint and the lines that it leaves with its end (notes.go, lines.go).
//	A25 Of an attempt that is pending outside nothing is in memory: the walk that finds its job due ends it, and it is not claimed. An answer that comes while the handler runs is in the store, and the attempt ends by it (outside.go).
//	A26 Who watches an app is told of a change when it is durable, once and in the order of the commits; where that cannot be they begin again with what is there (feed.go).
//	A27 What the live queries of a client show is of one snapshot, whose commit does not go back: of a commit that it has nothing is shown before all that the commit has written was compared with what each query has read (liverounds.go).
//
// Locks: turnBatch.mu, then storage's Tx, then pools.mu, then runs.mu and sharedPools.mu, leaves; waiters.mu, handlers.mu, notes.mu and runLog.mu are each a leaf of its own; feed.mu comes before feeds.mu, a leaf, and liveRoom.mu before lives.mu and that of its inbox, leaves; bells.mu is a leaf, and so are those of the histories of apps; instants.mu is a leaf but for that of a snapshot.
package actors
