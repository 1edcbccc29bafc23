package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// The functions of the examples.
type message struct {
	Text string `json:"text"`
}

var (
	notes    = storage.NewTable[message]("notes")
	addNote  = dispatch.Mutation[message, storage.ID[message]]("notes:add")
	getNote  = dispatch.Query[storage.ID[message], message]("notes:get")
	dropNote = dispatch.InternalMutation[storage.ID[message], dispatch.None]("notes:drop")
	sendMail = dispatch.InternalAction[message, dispatch.None]("mail:send")
	start    = dispatch.Mutation[dispatch.None, string]("example:start")
	account  = dispatch.NewPool("account", 1, dispatch.Ordered())
)

// sent is what mail:send has sent.
var sent = make(chan string, 1)

// example opens an engine with the functions above and mutation example:start, and
// runs host code with app "acme". Beside account the engine has the pools.
func example(
	startHandler func(*dispatch.MutationCtx) (string, error), host func(ctx context.Context, app *actors.App) error, pools ...*dispatch.Pool,
) {
	reg := dispatch.NewRegistry()
	addNote.Handle(reg, func(ctx *dispatch.MutationCtx, n message) (storage.ID[message], error) {
		return notes.Insert(ctx.DB, n)
	})
	getNote.Handle(reg, func(ctx *dispatch.QueryCtx, id storage.ID[message]) (message, error) {
		return notes.Get(ctx.DB, id)
	})
	dropNote.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.ID[message]) (dispatch.None, error) {
		return dispatch.None{}, notes.Delete(ctx.DB, id)
	})
	sendMail.Handle(reg, func(ctx *dispatch.ActionCtx, n message) (dispatch.None, error) {
		who := "nobody"
		if id, ok := ctx.Auth.Identity(); ok {
			who = id.Subject
		}
		sent <- fmt.Sprintf("%s, as %s", n.Text, who)
		return dispatch.None{}, nil
	})
	start.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (string, error) {
		if startHandler == nil {
			return "", nil
		}
		return startHandler(ctx)
	})
	withFunctions(reg, host, append(pools, account)...)
}

// withFunctions opens an engine with the functions and pools, and runs host code with app
// "acme".
func withFunctions(reg *dispatch.Registry, host func(ctx context.Context, app *actors.App) error, pools ...*dispatch.Pool) {
	dir, err := os.MkdirTemp("", "carillon-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	eng, err := actors.Open(dir, actors.Options{Functions: reg, Tables: []storage.Schema{notes}, Pools: pools})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer eng.Close(ctx)
	app, err := eng.App("acme")
	if err == nil {
		err = host(ctx, app)
	}
	if err != nil {
		fmt.Println(err)
	}
}

// run runs example:start as ann, with the handler.
func run(handler func(*dispatch.MutationCtx) (string, error)) {
	example(handler, func(ctx context.Context, app *actors.App) error {
		out, err := start.Run(app.As(ctx, &dispatch.Identity{Subject: "ann"}), dispatch.None{})
		if err == nil && out != "" {
			fmt.Println(out)
		}
		return err
	})
}

// runUntilSent is run, and then prints what mail:send has sent.
func runUntilSent(handler func(*dispatch.MutationCtx) (string, error)) {
	example(handler, func(ctx context.Context, app *actors.App) error {
		_, err := start.Run(app.As(ctx, &dispatch.Identity{Subject: "ann"}), dispatch.None{})
		if err == nil {
			fmt.Println(<-sent)
		}
		return err
	})
}

// A query reads one snapshot, and returns a value of its own type.
func ExampleQuery() {
	example(nil, func(ctx context.Context, app *actors.App) error {
		host := app.As(ctx, nil)
		id, err := addNote.Run(host, message{"tea is ready"})
		if err != nil {
			return err
		}
		n, err := getNote.Run(host, id)
		fmt.Println(n.Text)
		return err
	})
	// Output: tea is ready
}

// All that a mutation writes and schedules is one commit: an error undoes it all.
func ExampleMutation() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		id, err := notes.Insert(ctx.DB, message{"tea is ready"})
		if err != nil {
			return "", err
		}
		if _, err := ctx.Scheduler.RunAfter(time.Hour, dropNote.With(id)); err != nil {
			return "", err
		}
		return "", errors.New("neither the note nor the job is stored")
	})
	// Output: example:start: internal: internal error: neither the note nor the job is stored
}

// An action reaches the outside world. It has no database: it runs queries and
// mutations, each a transaction of its own.
func ExampleAction() {
	runUntilSent(func(ctx *dispatch.MutationCtx) (string, error) {
		_, err := ctx.Scheduler.RunAfter(0, sendMail.With(message{"welcome"}))
		return "", err
	})
	// Output: welcome, as nobody
}

// A client cannot call an internal function; to it the function does not exist.
func ExampleInternalMutation() {
	example(nil, func(ctx context.Context, app *actors.App) error {
		_, err := app.Call(ctx, "notes:drop", []byte(`"some-id"`), nil)
		return err
	})
	// Output: notes:drop: not_found: no function "notes:drop"
}

// A job is due after a while. The delay counts from now, not from the commit.
func ExampleScheduler_RunAfter() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		id, err := ctx.Scheduler.RunAfter(10*time.Minute, sendMail.With(message{"still there?"}))
		if err != nil {
			return "", err
		}
		job, _, err := ctx.Scheduler.Get(id)
		return fmt.Sprint(job.Function, " is ", job.State), err
	})
	// Output: mail:send is pending
}

// A job is due at an instant. One that has passed is legal: the job is overdue.
func ExampleScheduler_RunAt() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		newYear := time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC)
		id, err := ctx.Scheduler.RunAt(newYear, sendMail.With(message{"cheers"}))
		if err != nil {
			return "", err
		}
		job, _, err := ctx.Scheduler.Get(id)
		return job.Due.Format(time.DateTime), err
	})
	// Output: 2400-01-01 00:00:00
}

// Cancel answers truly: whether it was in time, and what it found.
func ExampleScheduler_Cancel() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		id, err := ctx.Scheduler.RunAfter(time.Hour, sendMail.With(message{"too late"}))
		if err != nil {
			return "", err
		}
		first, err := ctx.Scheduler.Cancel(id)
		if err != nil {
			return "", err
		}
		second, err := ctx.Scheduler.Cancel(id)
		return fmt.Sprintf("%v, it was %s; then %v, it was %s", first.Canceled, first.Found, second.Canceled, second.Found), err
	})
	// Output: true, it was pending; then false, it was canceled
}

// Reschedule has a pending job run now, with other arguments. It keeps its id.
func ExampleScheduler_Reschedule() {
	runUntilSent(func(ctx *dispatch.MutationCtx) (string, error) {
		id, err := ctx.Scheduler.RunAfter(time.Hour, sendMail.With(message{"in an hour"}))
		if err != nil {
			return "", err
		}
		answer, err := ctx.Scheduler.Reschedule(id, dispatch.DueIn(0), dispatch.NewArgs(sendMail.With(message{"now"})))
		if err == nil && !answer.Changed {
			err = fmt.Errorf("too late, it is %s", answer.Found)
		}
		return "", err
	})
	// Output: now, as nobody
}

// List pages through the jobs that a filter chooses.
func ExampleScheduler_List() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		for n := range 3 {
			if _, err := ctx.Scheduler.RunAfter(time.Hour, sendMail.With(message{fmt.Sprint("mail ", n)})); err != nil {
				return "", err
			}
		}
		filter := storage.JobFilter{Function: "mail:send", Limit: 2}
		for {
			page, err := ctx.Scheduler.List(filter)
			if err != nil {
				return "", err
			}
			fmt.Println(len(page.Jobs), "jobs")
			if page.Next == "" {
				return "", nil
			}
			filter.Cursor = page.Next
		}
	})
	// Output:
	// 2 jobs
	// 1 jobs
}

// A call can be made by path. What the path does not take is refused at once.
func ExamplePath() {
	runUntilSent(func(ctx *dispatch.MutationCtx) (string, error) {
		if _, err := ctx.Scheduler.RunAfter(0, dispatch.Path("mail:send").With(message{"by path"})); err != nil {
			return "", err
		}
		_, err := ctx.Scheduler.RunAfter(0, dispatch.Path("mail:sned").With(message{"a typo"}))
		fmt.Println(err)
		return "", nil
	})
	// Output:
	// mail:sned: not_found: no function "mail:sned"
	// by path, as nobody
}

// A job runs as nobody, unless it is scheduled with AsCaller: then it runs as who
// scheduled it.
func ExampleAsCaller() {
	runUntilSent(func(ctx *dispatch.MutationCtx) (string, error) {
		_, err := ctx.Scheduler.RunAfter(0, sendMail.With(message{"receipt"}), dispatch.AsCaller())
		return "", err
	})
	// Output: receipt, as ann
}

// An id of one's own choice names a job that is found again without storing its id.
func ExampleID() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		if _, err := ctx.Scheduler.RunAfter(time.Hour, sendMail.With(message{"trial ends"}), dispatch.ID("trial-of-ann")); err != nil {
			return "", err
		}
		_, err := ctx.Scheduler.RunAfter(time.Hour, sendMail.With(message{"again"}), dispatch.ID("trial-of-ann"))
		fmt.Println("taken:", err != nil)
		job, _, err := ctx.Scheduler.Get("trial-of-ann")
		return string(job.Args), err
	})
	// Output:
	// taken: true
	// {"text":"trial ends"}
}

// Of the jobs in a pool so many run at once as it says, here one for each user. Another
// user's are not kept back, nor what is in no pool. A pool has to be listed in
// actors.Options.Pools.
func ExampleInPool() {
	user := dispatch.NewPool("user", 1)
	example(func(ctx *dispatch.MutationCtx) (string, error) {
		for _, text := range []string{"one", "two", "three"} {
			if _, err := ctx.Scheduler.RunAfter(0, sendMail.With(message{text}), dispatch.InPool(user, "ann")); err != nil {
				return "", err
			}
		}
		return "", nil
	}, func(ctx context.Context, app *actors.App) error {
		_, err := start.Run(app.As(ctx, nil), dispatch.None{})
		for range 3 {
			fmt.Println(<-sent)
		}
		return err
	}, user)
	// Output:
	// one, as nobody
	// two, as nobody
	// three, as nobody
}

// A middleware measures what every handler takes, and sees how it ends.
func ExampleRegistry_Use() {
	reg := dispatch.NewRegistry()
	greet := dispatch.Query[string, string]("hello:greet")
	greet.Handle(reg, func(_ *dispatch.QueryCtx, name string) (string, error) {
		if name == "" {
			return "", dispatch.Errorf(dispatch.CodeInvalidArgument, "nobody to greet")
		}
		return "hello " + name, nil
	})
	reg.Use(func(ctx context.Context, run dispatch.HandlerRun, next func(context.Context) error) error {
		err := next(ctx)
		fmt.Println(run.Path, "of", run.App, "has ended with", err)
		return err
	})
	withFunctions(reg, func(ctx context.Context, app *actors.App) error {
		fmt.Println(greet.Run(app.As(ctx, nil), "ann"))
		_, err := greet.Run(app.As(ctx, nil), "")
		return err
	})
	// Output:
	// hello:greet of acme has ended with <nil>
	// hello ann <nil>
	// hello:greet of acme has ended with invalid_argument: nobody to greet
	// hello:greet: invalid_argument: nobody to greet
}

// A hook is told of jobs that are dead, and one of handlers that do not return.
func ExampleRegistry_OnDead() {
	reg := dispatch.NewRegistry()
	charge := dispatch.InternalAction[string, dispatch.None]("orders:charge", dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 1}))
	charge.Handle(reg, func(*dispatch.ActionCtx, string) (dispatch.None, error) {
		return dispatch.None{}, dispatch.Errorf(dispatch.CodeFailedPrecondition, "the card has expired")
	})
	reg.OnDead(func(ctx context.Context, app storage.AppID, job storage.Job) {
		fmt.Println(app, job.Function, "is dead:", job.Error.Message)
	})
	reg.OnStuck(func(ctx context.Context, stuck dispatch.StuckRun) {
		fmt.Println(stuck.App, stuck.Path, "does not return")
	})
	withFunctions(reg, func(ctx context.Context, app *actors.App) error {
		id, err := app.Scheduler(ctx).RunAfter(0, charge.With("order 7"))
		if err == nil {
			_, err = app.Wait(ctx, id)
		}
		return err
	})
	// Output: acme orders:charge is dead: the card has expired
}

// What is true of all jobs of a function is said once, where that is declared.
func ExampleDefaults() {
	mailCode := dispatch.InternalAction[string, dispatch.None]("otp:mail", dispatch.Defaults(
		dispatch.ExpiresAfter(10*time.Minute), // NotAfter, counted from the instant it is scheduled for
		dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3, Base: 5 * time.Second}),
	))
	reg := dispatch.NewRegistry()
	mailCode.Handle(reg, func(*dispatch.ActionCtx, string) (dispatch.None, error) { return dispatch.None{}, nil })
	withFunctions(reg, func(ctx context.Context, app *actors.App) error {
		jobs := app.Scheduler(ctx)
		id, err := jobs.RunAfter(time.Hour, mailCode.With("123456"))
		if err != nil {
			return err
		}
		job, _, err := jobs.Get(id)
		fmt.Println("not after", job.NotAfter.Sub(job.ScheduledFor), "past its instant, with", job.Retry.Limit, "retries")
		return err
	})
	// Output: not after 10m0s past its instant, with 2 retries
}

// Of what waits, here until the pool is resumed, the password is mailed first, though it was
// scheduled last: it is of the first level, and a level is worth a minute of waiting.
func ExamplePriority() {
	post := dispatch.NewPool("post", 1)
	example(func(ctx *dispatch.MutationCtx) (string, error) {
		var calls []dispatch.Scheduled
		for _, text := range []string{"newsletter 1", "newsletter 2"} {
			calls = append(calls, dispatch.At(ctx.Now, sendMail.With(message{text}), dispatch.InPool(post), dispatch.Priority(4)))
		}
		calls = append(calls, dispatch.At(ctx.Now, sendMail.With(message{"password"}), dispatch.InPool(post), dispatch.Priority(1)))
		_, err := ctx.Scheduler.RunMany(calls)
		return "", err
	}, func(ctx context.Context, app *actors.App) error {
		if err := app.Pause(ctx, dispatch.OfPool("post"), "ann", "the mail server is down"); err != nil {
			return err
		}
		if _, err := start.Run(app.As(ctx, nil), dispatch.None{}); err != nil {
			return err
		}
		if _, err := app.Resume(ctx, dispatch.OfPool("post")); err != nil {
			return err
		}
		for range 3 {
			fmt.Println(<-sent)
		}
		return nil
	}, post)
	// Output:
	// password, as nobody
	// newsletter 1, as nobody
	// newsletter 2, as nobody
}

// The jobs of one account run one after another, in the order they are due: the second
// begins when the first has ended, however often that is tried.
func ExampleOrdered() {
	example(func(ctx *dispatch.MutationCtx) (string, error) {
		for _, text := range []string{"opened", "credited"} {
			if _, err := ctx.Scheduler.RunAfter(0, sendMail.With(message{text}), dispatch.InPool(account, "ann")); err != nil {
				return "", err
			}
		}
		return "", nil
	}, func(ctx context.Context, app *actors.App) error {
		_, err := start.Run(app.As(ctx, nil), dispatch.None{})
		fmt.Println(<-sent)
		fmt.Println(<-sent)
		return err
	})
	// Output:
	// opened, as nobody
	// credited, as nobody
}

// A call that comes again within the second takes the place of the one before: one mail is
// sent, with the last text.
func ExampleUnique() {
	runUntilSent(func(ctx *dispatch.MutationCtx) (string, error) {
		for _, text := range []string{"dra", "draft", "draft 2"} {
			var done storage.Told
			_, err := ctx.Scheduler.RunAfter(time.Second, sendMail.With(message{text}),
				dispatch.Unique("preview", dispatch.Replace()), dispatch.Tell(&done))
			if err != nil {
				return "", err
			}
			fmt.Println("replaced:", done.Replaced)
		}
		return "", nil
	})
	// Output:
	// replaced: false
	// replaced: true
	// replaced: true
	// draft 2, as nobody
}

// What is asked for again while it is pending or runs is done once.
func ExampleKeep() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		first, err := ctx.Scheduler.RunAfter(time.Hour, sendMail.With(message{"report"}), dispatch.Unique("report", dispatch.Keep()))
		if err != nil {
			return "", err
		}
		second, err := ctx.Scheduler.RunAfter(0, sendMail.With(message{"report"}), dispatch.Unique("report", dispatch.Keep()))
		return fmt.Sprint("one job: ", first == second), err
	})
	// Output: one job: true
}

// Of many calls one starts in each minute at most, and the last one is not lost.
func ExampleThrottle() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		_, err := ctx.Scheduler.RunAfter(time.Minute, sendMail.With(message{"status"}), dispatch.Unique("status", dispatch.Throttle(time.Minute)))
		return "", err
	})
	// Output:
}

// A payment service that takes five calls at once, and a hundred in a minute.
func ExampleRate() {
	stripe := dispatch.NewPool("stripe", 5, dispatch.Rate(100, time.Minute))
	n, span := stripe.Rate()
	fmt.Println(stripe.Limit(), "at once,", n, "in any", span)
	// Output: 5 at once, 100 in any 1m0s
}

// A second export beside one that has not ended is refused, by the name of the first.
func ExampleRefuse() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		unique := dispatch.Unique("export", dispatch.Refuse())
		if _, err := ctx.Scheduler.RunAfter(time.Minute, sendMail.With(message{"export"}), unique); err != nil {
			return "", err
		}
		_, err := ctx.Scheduler.RunAfter(time.Minute, sendMail.With(message{"export"}), unique)
		fmt.Println(dispatch.AsError(err).Code)
		return "", nil
	})
	// Output: already_exists
}

// An action that is tried again does not schedule its receipt again. Elsewhere than in a job
// there is nothing to be tried again, and Once is refused.
func ExampleOnce() {
	receipts := dispatch.InternalAction[message, dispatch.None]("example:charge")
	receipts.Handle(dispatch.NewRegistry(), func(ctx *dispatch.ActionCtx, m message) (dispatch.None, error) {
		_, err := ctx.Scheduler.RunAfter(0, sendMail.With(m), dispatch.Once("receipt"))
		return dispatch.None{}, err
	})
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		_, err := ctx.Scheduler.RunAfter(0, sendMail.With(message{"receipt"}), dispatch.Once("receipt"))
		return dispatch.AsError(err).Message, nil
	})
	// Output: Once is for what a job schedules
}

// An action that must not be repeated runs at most once: if it fails or a crash
// cuts it off, it is not run again.
func ExampleAtMostOnce() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		id, err := ctx.Scheduler.RunAfter(time.Hour, sendMail.With(message{"charge"}), dispatch.AtMostOnce())
		if err != nil {
			return "", err
		}
		job, _, err := ctx.Scheduler.Get(id)
		return fmt.Sprint("at most once: ", job.AtMostOnce), err
	})
	// Output: at most once: true
}

// A mail that is of no use later is not sent later: after the instant no attempt begins.
func ExampleNotAfter() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		id, err := ctx.Scheduler.RunAfter(time.Minute, sendMail.With(message{"your code"}), dispatch.NotAfter(ctx.Now.Add(5*time.Minute)))
		if err != nil {
			return "", err
		}
		job, _, err := ctx.Scheduler.Get(id)
		return fmt.Sprint("expires after ", job.NotAfter.Sub(ctx.Now)), err
	})
	// Output: expires after 5m0s
}

// A retry policy of the job's own.
func ExampleWithRetry() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		_, err := ctx.Scheduler.RunAfter(time.Hour, sendMail.With(message{"patient"}), dispatch.WithRetry(dispatch.RetryPolicy{
			MaxAttempts: 10, Base: time.Second, Max: time.Minute, // after 1 s, 2 s, 4 s … and at most a minute
		}))
		return "", err
	})
	// Output:
}

// A peer that has had enough: the job, and all of its pool, wait, and no retry is spent.
func ExampleRetryAfter() {
	err := fmt.Errorf("charging: %w", dispatch.RetryAfter(30*time.Second, dispatch.WholePool(), dispatch.Because(errors.New("429 Too Many Requests"))))
	fmt.Println(err)
	var p *dispatch.Postponement
	fmt.Println(errors.As(err, &p), p.After, p.WholePool)
	// Output:
	// charging: to be tried again after 30s: 429 Too Many Requests
	// true 30s true
}

// A failure that no repetition mends ends the job at once.
func ExamplePermanent() {
	err := dispatch.Permanent(dispatch.Errorf(dispatch.CodeInvalidArgument, "the card has expired"))
	fmt.Println(err, dispatch.IsPermanent(err))
	// Output: invalid_argument: the card has expired true
}

// An error with a code and a message is told to the caller as it is; any other is
// "internal error" to the caller, and its text is for the log.
func ExampleErrorf() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		return "", dispatch.Errorf(dispatch.CodeFailedPrecondition, "the order is shipped")
	})
	// Output: example:start: failed_precondition: the order is shipped
}

// Require refuses a caller who has not signed in.
func ExampleAuth_Require() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		id, err := ctx.Auth.Require()
		return "hello, " + id.Subject, err
	})
	// Output: hello, ann
}

// A handler can tell another service which job it works for, so that a repeated
// attempt takes effect once there.
func ExampleJobRun_IdempotencyKey() {
	fmt.Println(dispatch.JobRun{App: "acme", ID: "order-7", Attempt: 2}.IdempotencyKey())
	// Output: acme/order-7
}

// A mutation gives its app a cron trigger of its own.
func ExampleCrons() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		err := ctx.Scheduler.Crons().Create(dispatch.Trigger{
			Name: "digest", Schedule: cron.Expr("0 9 * * MON-FRI"), Zone: "Europe/Rome", Call: sendMail.With(message{"digest"}),
		})
		if err != nil {
			return "", err
		}
		digest, _, err := ctx.Scheduler.Crons().Get("digest")
		return digest.Description, err
	})
	// Output: at 09:00 on Monday to Friday, Europe/Rome
}

// A trigger is run for the month before it was made.
func ExampleCrons_backfill() {
	run(func(ctx *dispatch.MutationCtx) (string, error) {
		err := ctx.Scheduler.Crons().Create(dispatch.Trigger{Name: "digest", Schedule: cron.Daily(9, 0), Call: sendMail.With(message{"digest"})})
		if err != nil {
			return "", err
		}
		backfill, err := ctx.Scheduler.Crons().Backfill("digest", dispatch.Backfill{
			From: ctx.Now.Add(-30 * 24 * time.Hour), To: ctx.Now, Reason: "the digest is new",
		})
		return fmt.Sprint(backfill.Slots, " slots"), err
	})
	// Output: 30 slots
}

// A function that was renamed is still reached by its former path, so that jobs
// stored under it run.
func ExampleFormerly() {
	remind := dispatch.InternalAction[message, dispatch.None]("reminders:send", dispatch.Formerly("mail:remind"))
	fmt.Println(remind.Path())
	// Output: reminders:send
}
