package actors_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

var (
	exampleHits = storage.NewTable[struct {
		Page string `json:"page"`
	}]("hits")
	exampleVisit  = dispatch.Mutation[string, dispatch.None]("site:visit")
	exampleVisits = dispatch.Query[dispatch.None, int]("site:visits")
)

func exampleFunctions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	exampleVisit.Handle(reg, func(ctx *dispatch.MutationCtx, page string) (dispatch.None, error) {
		_, err := exampleHits.Insert(ctx.DB, struct {
			Page string `json:"page"`
		}{page})
		return dispatch.None{}, err
	})
	exampleVisits.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		return exampleHits.Query(ctx.DB).Count()
	})
	return reg
}

// withEngine opens an engine on a new directory, and prints the error of what it runs.
func withEngine(opts actors.Options, host func(ctx context.Context, eng *actors.Engine) error) {
	dir, err := os.MkdirTemp("", "carillon-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if opts.Functions == nil {
		opts.Functions = exampleFunctions()
	}
	eng, err := actors.Open(dir, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer eng.Close(ctx)
	if err := host(ctx, eng); err != nil {
		fmt.Println(err)
	}
}

// An engine needs a directory and functions. What is acknowledged is on the disk.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "carillon-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 2 {
		eng, err := actors.Open(dir, actors.Options{Functions: exampleFunctions()})
		if err != nil {
			fmt.Println(err)
			return
		}
		app, err := eng.App("acme")
		if err != nil {
			fmt.Println(err)
			return
		}
		host := app.As(context.Background(), nil)
		if _, err := exampleVisit.Run(host, "/index"); err != nil {
			fmt.Println(err)
		}
		n, err := exampleVisits.Run(host, dispatch.None{})
		fmt.Println(n, err)
		if err := eng.Close(context.Background()); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}

// Call is how a server hands a client's request on: public functions only, JSON in
// and out.
func ExampleApp_Call() {
	withEngine(actors.Options{}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		if _, err := app.Call(ctx, "site:visit", []byte(`"/index"`), nil); err != nil {
			return err
		}
		out, err := app.Call(ctx, "site:visits", nil, &dispatch.Identity{Subject: "ann"})
		fmt.Println(string(out))
		return err
	})
	// Output: 1
}

// The host schedules without a function around it. Each call is durable when it
// returns.
func ExampleApp_Scheduler() {
	withEngine(actors.Options{}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		id, err := app.Scheduler(ctx).RunAfter(time.Hour, exampleVisit.With("/later"))
		if err != nil {
			return err
		}
		answer, err := app.Scheduler(ctx).Cancel(id)
		fmt.Println("canceled:", answer.Canceled)
		return err
	})
	// Output: canceled: true
}

// Declared triggers are those of every app, unless they name theirs.
func ExampleHostScheduler_RetryMany() {
	reg := exampleFunctions()
	charge := dispatch.InternalAction[string, dispatch.None]("payments:charge")
	charge.Handle(reg, func(*dispatch.ActionCtx, string) (dispatch.None, error) {
		return dispatch.None{}, dispatch.Errorf(dispatch.CodeUnavailable, "the bank is closed")
	})
	quiet := slog.New(slog.DiscardHandler)
	withEngine(actors.Options{Functions: reg, Logger: quiet}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		if _, err := app.Scheduler(ctx).RunAfter(0, charge.With("ann"), dispatch.NoRetry()); err != nil {
			return err
		}
		dead := storage.JobFilter{States: []storage.State{storage.StateFailed}}
		for n := 0; n == 0 && err == nil; {
			n, err = app.Scheduler(ctx).CountJobs(dead)
		}
		n, err := app.Scheduler(ctx).RetryMany(storage.JobFilter{Function: "payments:charge", Error: "unavailable"})
		if err != nil {
			return err
		}
		fmt.Println(n, "is pending again")
		return nil
	})
	// Output: 1 is pending again
}

// Counted first, then canceled in steps that keep no due job waiting.
func ExampleHostScheduler_CancelMany() {
	withEngine(actors.Options{}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		s := app.Scheduler(ctx)
		for _, user := range []string{"ann", "bob", "ann"} {
			if _, err := s.RunAfter(time.Hour, exampleVisit.With("/"+user), dispatch.Tags(user)); err != nil {
				return err
			}
		}
		ofAnn := storage.JobFilter{Tags: []string{"ann"}, States: []storage.State{storage.StatePending}}
		would, err := s.CountJobs(ofAnn)
		if err != nil {
			return err
		}
		n, err := s.CancelMany(ofAnn)
		fmt.Println(would, "counted,", n, "canceled")
		return err
	})
	// Output: 2 counted, 2 canceled
}

// A batch is one commit: all of it is stored, or nothing.
func ExampleHostScheduler_RunMany() {
	withEngine(actors.Options{}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		var calls []dispatch.Scheduled
		for _, page := range []string{"/", "/about", "/contact"} {
			calls = append(calls, dispatch.After(24*time.Hour, exampleVisit.With(page), dispatch.Tags("crawl")))
		}
		ids, err := app.Scheduler(ctx).RunMany(calls)
		fmt.Println(len(ids), "visits tomorrow")
		return err
	})
	// Output: 3 visits tomorrow
}

// A trial tenant may have one job at a time; the others have the limits of Options.
func ExampleOptions_appLimits() {
	limits := func(id storage.AppID) actors.AppLimits {
		if id == "trial" {
			return actors.AppLimits{MaxJobs: 1}
		}
		return actors.AppLimits{}
	}
	withEngine(actors.Options{AppLimits: limits}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("trial")
		if err != nil {
			return err
		}
		s := app.Scheduler(ctx)
		if _, err := s.RunAfter(time.Hour, exampleVisit.With("/one")); err != nil {
			return err
		}
		_, err = s.RunAfter(time.Hour, exampleVisit.With("/two"))
		fmt.Println(dispatch.AsError(err).Code)
		return nil
	})
	// Output: resource_exhausted
}

func ExampleOptions_crons() {
	withEngine(actors.Options{Crons: []dispatch.Trigger{
		{Name: "nightly", Schedule: cron.Daily(3, 0), Call: exampleVisit.With("/report")},
	}}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		if _, err := exampleVisit.Run(app.As(ctx, nil), "/index"); err != nil { // the app comes into being, with its triggers
			return err
		}
		trigger, _, err := app.Scheduler(ctx).Crons().Get("nightly")
		fmt.Println(trigger.Description)
		return err
	})
	// Output: at 03:00 every day, UTC
}

// A report that is made late is run for the days before, each as the tick of its slot.
func ExampleApp_Scheduler_backfill() {
	reg := dispatch.NewRegistry()
	report := dispatch.InternalAction[dispatch.None, dispatch.None]("site:report")
	days := make(chan time.Time)
	report.Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (dispatch.None, error) {
		days <- ctx.Tick.Slot
		return dispatch.None{}, nil
	})
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		crons := app.Scheduler(ctx).Crons()
		if err := crons.Create(dispatch.Trigger{Name: "daily", Schedule: cron.Daily(3, 0), Call: report.With(dispatch.None{})}); err != nil {
			return err
		}
		backfill, err := crons.Backfill("daily", dispatch.Backfill{
			From: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2024, 1, 3, 0, 0, 0, 0, time.UTC),
			Reason: "the report is new",
		})
		if err != nil {
			return err
		}
		for range backfill.Slots {
			fmt.Println((<-days).Format(time.DateTime))
		}
		return nil
	})
	// Output:
	// 2024-01-01 03:00:00
	// 2024-01-02 03:00:00
}

// A trigger whose function does not exist fails fast: Open refuses it, and names it.
func ExampleOptions_cronsWithoutFunction() {
	withEngine(actors.Options{Crons: []dispatch.Trigger{
		{Name: "nightly", Schedule: cron.Daily(3, 0), Call: dispatch.Path("site:rebort").With(nil)},
	}}, nil)
	// Output: trigger nightly: site:rebort: no function "site:rebort"
}

// An app can be moved to another name, or another engine, while it runs.
func ExampleEngine_Export() {
	withEngine(actors.Options{}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		if _, err := exampleVisit.Run(app.As(ctx, nil), "/index"); err != nil {
			return err
		}
		var backup bytes.Buffer
		if err := eng.Export(ctx, "acme", &backup); err != nil {
			return err
		}
		if err := eng.Import(ctx, "copy", &backup); err != nil {
			return err
		}
		apps, err := eng.Apps()
		fmt.Println(apps)
		return err
	})
	// Output: [acme copy]
}

// Delete removes an app with its documents, jobs and triggers.
func ExampleEngine_Delete() {
	withEngine(actors.Options{}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		if _, err := exampleVisit.Run(app.As(ctx, nil), "/index"); err != nil {
			return err
		}
		if err := eng.Delete(ctx, "acme"); err != nil {
			return err
		}
		n, err := exampleVisits.Run(app.As(ctx, nil), dispatch.None{})
		fmt.Println(n)
		return err
	})
	// Output: 0
}

// A pool is paused while a peer is down. Jobs are scheduled all the while, and say what they
// wait for; the rest of the app goes on.
func ExampleApp_Pause() {
	stripe := dispatch.NewPool("stripe", 5)
	reg := dispatch.NewRegistry()
	pay := dispatch.InternalAction[int, dispatch.None]("shop:pay", dispatch.InPool(stripe))
	paid := make(chan int)
	pay.Handle(reg, func(_ *dispatch.ActionCtx, cents int) (dispatch.None, error) {
		paid <- cents
		return dispatch.None{}, nil
	})
	withEngine(actors.Options{Functions: reg, Pools: []*dispatch.Pool{stripe}}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		err = app.Pause(ctx, dispatch.OfPool("stripe"), "ann", "the account is locked")
		if err != nil {
			return err
		}
		id, err := app.Scheduler(ctx).RunAfter(0, pay.With(995))
		if err != nil {
			return err
		}
		job, _, err := app.Scheduler(ctx).Get(id)
		if err != nil {
			return err
		}
		fmt.Println(job.Wait+":", job.Reason)
		resumed, err := app.Resume(ctx, dispatch.OfPool("stripe"))
		fmt.Println("resumed:", resumed, "paid:", <-paid)
		return err
	})
	// Output:
	// paused: pool stripe is paused by ann: the account is locked
	// resumed: true paid: 995
}

// The result of a job is kept with it, and can be waited for.
func ExampleApp_Wait() {
	reg := dispatch.NewRegistry()
	square := dispatch.InternalAction[int, int]("math:square")
	square.Handle(reg, func(_ *dispatch.ActionCtx, n int) (int, error) { return n * n, nil })
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		id, err := app.Scheduler(ctx).RunAfter(0, square.With(12))
		if err != nil {
			return err
		}
		result, err := square.Await(ctx, app, id) // when the job has ended, durably
		if err != nil {
			return err
		}
		job, err := app.Wait(ctx, id) // it has ended: at once
		fmt.Println(result, job.State, string(job.Result))
		return err
	})
	// Output: 144 success 144
}

// A long action saves where it is; the attempt after one that has failed goes on there.
func ExampleApp_Wait_checkpoint() {
	reg := dispatch.NewRegistry()
	write := dispatch.InternalAction[int, dispatch.None]("export:write", dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Millisecond}))
	send := func(ctx *dispatch.ActionCtx, page int) error {
		if page == 2 && ctx.Job.Attempt == 1 {
			return errors.New("the peer is down")
		}
		fmt.Println("attempt", ctx.Job.Attempt, "sends page", page)
		return nil
	}
	write.Handle(reg, func(ctx *dispatch.ActionCtx, pages int) (dispatch.None, error) {
		done, _, err := dispatch.CheckpointOf[int](ctx) // 0 if it begins anew
		if err != nil {
			return dispatch.None{}, err
		}
		for ; done < pages; done++ {
			if err := send(ctx, done); err != nil {
				return dispatch.None{}, err // tried again, from this page on
			}
			if err := ctx.Checkpoint(done + 1); err != nil {
				return dispatch.None{}, err
			}
			ctx.Progress(int64(done+1), int64(pages), "sending")
		}
		return dispatch.None{}, nil
	})
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		id, err := app.Scheduler(ctx).RunAfter(0, write.With(4))
		if err != nil {
			return err
		}
		job, err := app.Wait(ctx, id)
		fmt.Println(job.State)
		return err
	})
	// Output:
	// attempt 1 sends page 0
	// attempt 1 sends page 1
	// attempt 2 sends page 2
	// attempt 2 sends page 3
	// success
}

// A follow-up is told how its job has ended.
func ExampleHostScheduler_RunAfter() {
	reg := dispatch.NewRegistry()
	square := dispatch.InternalAction[int, int]("math:square")
	square.Handle(reg, func(_ *dispatch.ActionCtx, n int) (int, error) { return n * n, nil })
	report := dispatch.InternalAction[string, dispatch.None]("math:report")
	reported := make(chan string, 1)
	report.Handle(reg, func(ctx *dispatch.ActionCtx, to string) (dispatch.None, error) {
		n, err := dispatch.ResultOf[int](ctx.Job.Outcome) // the result, or why there is none
		reported <- fmt.Sprintf("%s: %d, %v, %s", to, n, err, ctx.Job.Outcome.State)
		return dispatch.None{}, nil
	})
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		id, err := app.Scheduler(ctx).RunAfter(0, square.With(12),
			dispatch.OnDone(report.With("ann"))) // whatever becomes of it
		if err != nil {
			return err
		}
		fmt.Println(<-reported)
		answer, err := app.Scheduler(ctx).Cancel(id, dispatch.Cascade())
		fmt.Println(answer.Canceled, answer.Found)
		return err
	})
	// Output:
	// ann: 144, <nil>, success
	// false success
}

// When all members of a group have ended one job more is scheduled, and told how they did.
func ExampleHostScheduler_NewGroup() {
	reg := dispatch.NewRegistry()
	square := dispatch.InternalAction[int, int]("math:square")
	square.Handle(reg, func(_ *dispatch.ActionCtx, n int) (int, error) {
		if n > 3 {
			return 0, dispatch.Permanent(errors.New("too hard"))
		}
		return n * n, nil
	})
	summary := dispatch.InternalAction[string, dispatch.None]("math:summary")
	told := make(chan string, 1)
	summary.Handle(reg, func(ctx *dispatch.ActionCtx, to string) (dispatch.None, error) {
		o := ctx.Job.GroupOutcome
		told <- fmt.Sprintf("%s: %d were squared, %d were not", to, o.Success, o.Failed)
		return dispatch.None{}, nil
	})
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		s := app.Scheduler(ctx)
		g, err := s.NewGroup(summary.With("ann"))
		if err != nil {
			return err
		}
		for n := range 5 {
			if _, err := s.RunAfter(0, square.With(n), dispatch.InGroup(g)); err != nil {
				return err
			}
		}
		if err := s.Seal(g); err != nil { // these were all
			return err
		}
		fmt.Println(<-told)
		return nil
	})
	// Output: ann: 4 were squared, 1 were not
}

// A pool has another limit than the declared one until that is cleared.
func ExampleApp_LimitPool() {
	stripe := dispatch.NewPool("stripe", 5)
	withEngine(actors.Options{Pools: []*dispatch.Pool{stripe}}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		err = app.LimitPool(ctx, "stripe", 1)
		if err != nil {
			return err
		}
		pools, err := app.Pools(ctx)
		if err != nil {
			return err
		}
		fmt.Println("limit", pools[0].Limit, "declared", pools[0].Declared)
		cleared, err := app.ClearPoolLimit(ctx, "stripe")
		fmt.Println("cleared:", cleared)
		return err
	})
	// Output:
	// limit 1 declared 5
	// cleared: true
}

// All apps have one account with a service, which bears one call at a time and a hundred in a
// second: a job of one app waits for that of another.
func ExampleEngine_SharedPools() {
	payments := dispatch.NewSharedPool("payments", 1, dispatch.Rate(100, time.Second))
	reg := dispatch.NewRegistry()
	pay := dispatch.InternalAction[string, dispatch.None]("shop:pay", dispatch.InPool(payments))
	began, goOn := make(chan string), make(chan bool)
	pay.Handle(reg, func(_ *dispatch.ActionCtx, who string) (dispatch.None, error) {
		began <- who
		<-goOn
		return dispatch.None{}, nil
	})
	withEngine(actors.Options{Functions: reg, Pools: []*dispatch.Pool{payments}}, func(ctx context.Context, eng *actors.Engine) error {
		acme, _ := eng.App("acme")
		other, err := eng.App("other")
		if err != nil {
			return err
		}
		if _, err := acme.Scheduler(ctx).RunAfter(0, pay.With("acme")); err != nil {
			return err
		}
		fmt.Println(<-began, "pays")
		id, err := other.Scheduler(ctx).RunAfter(0, pay.With("other"))
		if err != nil {
			return err
		}
		var job storage.Job
		for job.Reason == "" && err == nil { // it is due within a millisecond
			job, _, err = other.Scheduler(ctx).Get(id)
		}
		if err != nil {
			return err
		}
		fmt.Println("other waits:", job.Reason)
		p := eng.SharedPools()[0]
		fmt.Printf("%s: %d of %d, at most %d in %v\n", p.Name, p.Running, p.Limit, p.Rate, p.Span)
		goOn <- true
		fmt.Println(<-began, "pays")
		goOn <- true
		return nil
	})
	// Output:
	// acme pays
	// other waits: pool payments, which all apps share, is full: 1 of 1 permits are taken
	// payments: 1 of 1, at most 100 in 1s
	// other pays
}

// An approval: the job waits for an answer from outside, holds no permit meanwhile, and ends with it.
func ExampleApp_Complete() {
	reg := dispatch.NewRegistry()
	approve := dispatch.InternalAction[string, bool]("expenses:approve")
	tokens := make(chan string, 1)
	mail := func(what, token string) error { tokens <- token; return nil }
	approve.Handle(reg, func(ctx *dispatch.ActionCtx, what string) (bool, error) {
		token, err := ctx.Pending(48 * time.Hour) // how long the answer may take
		if err != nil {
			return false, err
		}
		if err := mail(what, token); err != nil {
			return false, err
		}
		return false, dispatch.ErrPending
	})
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		id, err := app.Scheduler(ctx).RunAfter(0, approve.With("a new desk"))
		if err != nil {
			return err
		}
		token := <-tokens
		ok, err := app.Complete(ctx, token, true) // a success, with that result
		if err != nil {
			return err
		}
		again, err := app.Complete(ctx, token, false)
		if err != nil {
			return err
		}
		approved, err := approve.Await(ctx, app, id)
		fmt.Println(ok, again, approved)
		return err
	})
	// Output: true false true
}

// A call that may have been applied, since its answer was lost, is repeated with its key.
func Example_idempotencyKey() {
	withEngine(actors.Options{}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		for range 2 {
			keyed := dispatch.WithIdempotencyKey(ctx, "visit-7f3a")
			if _, err := exampleVisit.Run(app.As(keyed, nil), "/pricing"); err != nil {
				return err
			}
		}
		visits, err := exampleVisits.Run(app.As(ctx, nil), dispatch.None{})
		fmt.Println(visits, "visit")
		return err
	})
	// Output: 1 visit
}

// A handler hands on the trace that it is in; the jobs that it schedules are linked to it.
func Example_tracing() {
	reg := dispatch.NewRegistry()
	welcome := dispatch.InternalAction[string, dispatch.None]("mail:welcome")
	signUp := dispatch.Mutation[string, dispatch.None]("users:signUp")
	signUp.Handle(reg, func(ctx *dispatch.MutationCtx, user string) (dispatch.None, error) {
		_, err := ctx.Scheduler.RunAfter(0, welcome.With(user))
		return dispatch.None{}, err
	})
	done := make(chan dispatch.Trace, 1)
	welcome.Handle(reg, func(ctx *dispatch.ActionCtx, user string) (dispatch.None, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://mail.example.com/send", strings.NewReader(user))
		if err != nil {
			return dispatch.None{}, err
		}
		if span := dispatch.TraceOf(ctx).Span; span != nil {
			req.Header.Set("traceparent", span.Traceparent())
		}
		done <- dispatch.TraceOf(ctx)
		return dispatch.None{}, nil
	})
	withEngine(actors.Options{Functions: reg}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		caller := storage.ParseTrace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")
		if _, err := signUp.Run(app.As(dispatch.WithTrace(ctx, caller), nil), "ann"); err != nil {
			return err
		}
		run := <-done
		fmt.Println("of another trace:", run.Span.ID != caller.ID, "sampled:", run.Span.Sampled)
		fmt.Println("linked to a span of the caller's:", run.Link.ID == caller.ID)
		return nil
	})
	// Output:
	// of another trace: true sampled: true
	// linked to a span of the caller's: true
}
