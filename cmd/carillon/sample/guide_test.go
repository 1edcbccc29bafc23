package sample_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/metrics"
	"carillon/storage"
)

// This file is the code that docs/*.md show. TestDocsShowCodeThatCompiles compares
// them; the tests at the end run it.

type Order struct {
	User  string    `json:"user"`
	Total int64     `json:"total"`
	Paid  bool      `json:"paid"`
	At    time.Time `json:"at"`
}

type Receipt struct {
	Order storage.ID[Order] `json:"order"`
}

var (
	orders = storage.NewTable[Order]("orders", storage.Index("by_user", "user", "at"))

	place  = dispatch.Mutation[Order, storage.ID[Order]]("orders:place")
	byUser = dispatch.Query[string, []Order]("orders:byUser")
	expire = dispatch.InternalMutation[storage.ID[Order], dispatch.None]("orders:expire")
	charge = dispatch.InternalAction[Receipt, dispatch.None]("payments:charge", dispatch.Deadline(30*time.Second))
	paid   = dispatch.InternalMutation[storage.ID[Order], dispatch.None]("orders:paid")
	report = dispatch.InternalAction[dispatch.None, dispatch.None]("orders:report")
)

func guideFunctions() *dispatch.Registry {
	reg := dispatch.NewRegistry()

	place.Handle(reg, func(ctx *dispatch.MutationCtx, o Order) (storage.ID[Order], error) {
		user, err := ctx.Auth.Require()
		if err != nil {
			return "", err
		}
		if o.Total <= 0 {
			return "", dispatch.Errorf(dispatch.CodeInvalidArgument, "total is %d, want more than 0", o.Total)
		}
		o.User, o.Paid, o.At = user.Subject, false, ctx.Now
		id, err := orders.Insert(ctx.DB, o)
		if err != nil {
			return "", err
		}
		if _, err := ctx.Scheduler.RunAfter(0, charge.With(Receipt{id})); err != nil {
			return "", err
		}
		_, err = ctx.Scheduler.RunAfter(24*time.Hour, expire.With(id), dispatch.ID("expire-"+storage.JobID(id)))
		return id, err
	})

	byUser.Handle(reg, func(ctx *dispatch.QueryCtx, user string) (list []Order, err error) {
		for doc, err := range orders.Query(ctx.DB).By("by_user").Eq(user).Desc().Take(20).All() {
			if err != nil {
				return nil, err
			}
			list = append(list, doc.Value)
		}
		return list, nil
	})

	charge.Handle(reg, func(ctx *dispatch.ActionCtx, r Receipt) (dispatch.None, error) {
		if err := pay(ctx, ctx.Job.IdempotencyKey()); err != nil {
			return dispatch.None{}, err // tried again, by the job's retry policy
		}
		return paid.Run(ctx, r.Order) // a transaction of its own
	})

	paid.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.ID[Order]) (dispatch.None, error) {
		if _, err := ctx.Scheduler.Cancel("expire-" + storage.JobID(id)); err != nil {
			return dispatch.None{}, err
		}
		return dispatch.None{}, orders.Patch(ctx.DB, id, func(o *Order) error {
			o.Paid = true
			return nil
		})
	})

	expire.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.ID[Order]) (dispatch.None, error) {
		return dispatch.None{}, orders.Delete(ctx.DB, id)
	})

	report.Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (dispatch.None, error) {
		ctx.Log.Info("report", "for", ctx.Tick.Slot, "since", ctx.Tick.PreviousSuccess)
		return dispatch.None{}, nil
	})

	refund.Handle(reg, func(ctx *dispatch.ActionCtx, r Receipt) (dispatch.None, error) {
		return dispatch.None{}, pay(ctx, ctx.Job.IdempotencyKey())
	})

	return reg
}

var (
	stripe  = dispatch.NewPool("stripe", 5)   // five at once in each app
	perUser = dispatch.NewPool("per-user", 1) // one at once of each key
	refund  = dispatch.InternalAction[Receipt, dispatch.None]("billing:refund", dispatch.InPool(stripe))
)

// In all apps together eight at once, and a hundred a second.
var payments = dispatch.NewSharedPool("payments", 8, dispatch.Rate(100, time.Second))

var account = dispatch.NewPool("account", 1, dispatch.Ordered()) // with a key: the jobs of each, one after another

// pay asks a payment provider, which knows the key and charges once.
var pay = func(ctx context.Context, key string) error { return nil }

// At most five calls of it at once, and at most a hundred begin in any minute.
var geocoder = dispatch.NewPool("geocoder", 5, dispatch.Rate(100, time.Minute))

// busy answers a peer that has said when to come again.
var _ = func(wait time.Duration, err error) (dispatch.None, error) {
	return dispatch.None{}, dispatch.RetryAfter(wait, dispatch.WholePool(), dispatch.Because(err))
}

func guideOptions() actors.Options {
	return actors.Options{
		Functions: guideFunctions(),
		Tables:    []storage.Schema{orders},
		Pools:     []*dispatch.Pool{stripe, perUser, account, payments, geocoder},
		Crons: []dispatch.Trigger{
			{Name: "report", Schedule: cron.Daily(6, 0), Zone: "Europe/Rome", Call: report.With(dispatch.None{})},
			{Name: "sweep", Schedule: cron.Every(90 * time.Second), Call: report.With(dispatch.None{}), Overlap: storage.OverlapSkip},
		},
	}
}

var _ = actors.Options{
	Crons: []dispatch.Trigger{
		{Name: "warm", AtStart: true, Call: report.With(dispatch.None{}), Apps: []storage.AppID{"acme"}},
	},
}

func scheduling(ctx *dispatch.MutationCtx, id storage.ID[Order]) error {
	// After a while, and at an instant.
	if _, err := ctx.Scheduler.RunAfter(10*time.Minute, expire.With(id)); err != nil {
		return err
	}
	if _, err := ctx.Scheduler.RunAt(ctx.Now.AddDate(0, 1, 0), expire.With(id)); err != nil {
		return err
	}

	// By path, when the reference is not at hand.
	if _, err := ctx.Scheduler.RunAfter(0, dispatch.Path("orders:expire").With(id)); err != nil {
		return err
	}

	// With options.
	_, err := ctx.Scheduler.RunAfter(0, charge.With(Receipt{id}),
		dispatch.AsCaller(),             // run as the one who schedules it; default: anonymously
		dispatch.AtMostOnce(),           // never twice, not even after a crash
		dispatch.Timeout(5*time.Second), // each attempt
		dispatch.Tags("receipts", "eu"), // up to eight, for filters and logs
	)
	if err != nil {
		return err
	}

	// In a pool, before others.
	user := "ada"
	_, err = ctx.Scheduler.RunAfter(0, charge.With(Receipt{id}),
		dispatch.InPool(perUser, user), // of one job
		dispatch.Priority(1),           // before others that wait: 1 is first, 4 last, 2 the default
	)
	if err != nil {
		return err
	}

	// Not after an instant.
	_, err = ctx.Scheduler.RunAfter(0, charge.With(Receipt{id}), dispatch.NotAfter(ctx.Now.Add(5*time.Minute)))
	if err != nil {
		return err
	}

	// Many at once.
	deadline := ctx.Now.AddDate(0, 0, 30)
	ids, err := ctx.Scheduler.RunMany([]dispatch.Scheduled{
		dispatch.After(0, charge.With(Receipt{id})),
		dispatch.At(deadline, expire.With(id), dispatch.Tags("deadline")),
	})
	if err != nil {
		return err
	}
	ctx.Log.Info("scheduled", "jobs", len(ids))

	// A debounce: the report is made when nothing has come for 3 s, or after 30 s of steady calls.
	_, err = ctx.Scheduler.RunAfter(3*time.Second, report.With(dispatch.None{}), dispatch.Unique("report", dispatch.Replace()))
	if err != nil {
		return err
	}

	// Once while it is asked for again and again, and for an hour after it was done.
	var done storage.Told
	_, err = ctx.Scheduler.RunAfter(0, report.With(dispatch.None{}),
		dispatch.Unique("hourly", dispatch.Keep().HeldFor(time.Hour)), dispatch.Tell(&done))
	if err != nil {
		return err
	}
	ctx.Log.Info("reporting", "job", done.ID, "was there", done.Kept)

	// Other than it was scheduled.
	job := ids[0]
	answer, err := ctx.Scheduler.Reschedule(job, dispatch.DueIn(0), dispatch.Priority(1), dispatch.NewArgs(charge.With(Receipt{id})))
	if err != nil {
		return err
	}
	if !answer.Changed {
		ctx.Log.Info("too late", "job", job, "state", answer.Found)
	}

	// What is there, and away with it.
	page, err := ctx.Scheduler.List(storage.JobFilter{Function: "orders:expire", States: []storage.State{storage.StatePending}})
	if err != nil {
		return err
	}
	for _, job := range page.Jobs {
		answer, err := ctx.Scheduler.Cancel(job.ID)
		if err != nil {
			return err
		}
		if !answer.Canceled {
			ctx.Log.Info("too late", "job", job.ID, "state", answer.Found)
		}
	}
	return nil
}

func dailyDigest(ctx *dispatch.MutationCtx, zone string) error {
	return ctx.Scheduler.Crons().Create(dispatch.Trigger{
		Name: "digest", Schedule: cron.Expr("0 9 * * MON-FRI"), Zone: zone, Call: report.With(dispatch.None{}),
		Overlap: storage.OverlapQueue, CatchUp: storage.CatchUp{Mode: storage.CatchUpNone},
	})
}

// TestOrderExpires is a test as an app would write it.
func TestOrderExpires(t *testing.T) {
	actorstest.Run(t, guideOptions(), func(h *actorstest.Harness) {
		defer func(was func(context.Context, string) error) { pay = was }(pay)
		pay = func(context.Context, string) error { return errors.New("the bank is closed") }

		ann := h.CallerAs("acme", &dispatch.Identity{Subject: "ann"})
		if _, err := place.Run(ann, Order{Total: 100}); err != nil {
			t.Fatal(err)
		}
		h.Crash() // what was acknowledged is there afterwards
		h.Advance(24 * time.Hour)
		list, err := byUser.Run(h.Caller("acme"), "ann")
		if err != nil || len(list) != 0 {
			t.Errorf("%d orders are left, %v", len(list), err)
		}
	})
}

// login is how a server of one's own knows its users.
type login func(*http.Request) (user string, apps []string, err error)

// serveOrders is a server of one's own, until ctx ends.
func serveOrders(ctx context.Context, dir, addr string, notice time.Duration, login login) error {
	ln, err := net.Listen("tcp", addr) // first: if the address is taken, no job may have run
	if err != nil {
		return err
	}
	probes := new(server.Startup) // says that it is starting, until it is given the handler
	mux := http.NewServeMux()
	for _, path := range []string{"/v1/", "/livez", "/readyz", "/metrics"} {
		mux.Handle(path, probes)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "my own page") })

	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(notice, stop) }) // red first, and closed later
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, ln, mux, 10*time.Second, nil) }()

	opts := guideOptions()
	m := metrics.New()
	opts.Functions.Use(m.Middleware)
	eng, err := actors.Open(dir, opts) // jobs run from here on
	if err != nil {
		stop()
		return errors.Join(err, <-served)
	}
	refusals := new(server.Refusals)
	m.Watch(eng, refusals)
	probes.Serve(server.New(eng, server.Options{
		Identify: identify(login),
		Operator: server.Tokens(eng), // the tokens that carillon tokens create makes
		Draining: ctx,                // when it ends, /readyz is red and streams end
		Metrics:  m.Handler(),
		Refusals: refusals,
	}))

	err = <-served // the calls under way are answered
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return errors.Join(err, eng.Close(closing)) // the jobs that run have ended
}

// identify says who calls, and that the app is one of theirs.
func identify(login login) func(*http.Request) (*dispatch.Identity, error) {
	return func(r *http.Request) (*dispatch.Identity, error) {
		user, apps, err := login(r)
		if err != nil {
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "sign in first")
		}
		if !slices.Contains(apps, r.PathValue("app")) {
			return nil, dispatch.Errorf(dispatch.CodePermissionDenied, "not an app of yours")
		}
		return &dispatch.Identity{Subject: user}, nil
	}
}

func TestGuideSchedules(t *testing.T) {
	reg := guideFunctions()
	try := dispatch.Mutation[storage.ID[Order], dispatch.None]("guide:try")
	try.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.ID[Order]) (dispatch.None, error) {
		return dispatch.None{}, errors.Join(scheduling(ctx, id), dailyDigest(ctx, "Europe/Rome"))
	})
	opts := guideOptions()
	opts.Functions = reg
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		ann := h.CallerAs("acme", &dispatch.Identity{Subject: "ann"})
		id, err := place.Run(ann, Order{Total: 100})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := try.Run(ann, id); err != nil {
			t.Fatal(err)
		}
		h.Advance(3 * time.Second)
		h.Drain()
		list, err := byUser.Run(ann, "ann")
		if err != nil || len(list) != 1 || !list[0].Paid {
			t.Errorf("ann's orders are %+v, %v", list, err)
		}
		n, err := h.Scheduler("acme").RetryMany(storage.JobFilter{Function: "payments:charge", Error: "unavailable"})
		if err != nil || n != 0 {
			t.Errorf("%d jobs are retried, %v", n, err)
		}
		func() {
			n, err := h.Scheduler("acme").CancelMany(storage.JobFilter{Tags: []string{"ann"}})
			if err != nil || n != 0 {
				t.Errorf("%d jobs are canceled, %v", n, err)
			}
		}()
		if pending := h.Jobs("acme", storage.StatePending); len(pending) != 3 {
			t.Errorf("%d jobs are pending, want the next tick of each trigger", len(pending))
		}
	})
}

func TestGuideServes(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	dir := t.TempDir()
	// start serves on a port that was free a moment ago.
	start := func() (addr string, done chan error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr, done = ln.Addr().String(), make(chan error, 1)
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		go func() {
			done <- serveOrders(ctx, dir, addr, 0, func(r *http.Request) (string, []string, error) { return "ann", []string{"acme"}, nil })
		}()
		return addr, done
	}
	addr, done := start()
	status := func(method, path string) int {
		for {
			req, err := http.NewRequest(method, "http://"+addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusServiceUnavailable { // it is starting
					return resp.StatusCode
				}
			}
			select {
			case err := <-done:
				if !errors.Is(err, syscall.EADDRINUSE) {
					t.Fatalf("the server has ended: %v", err)
				}
				addr, done = start() // another process was faster
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/readyz", http.StatusOK},
		{"GET", "/livez", http.StatusOK},
		{"GET", "/", http.StatusOK},
		{"GET", "/metrics", http.StatusUnauthorized},                             // it is for operators
		{"POST", "/v1/apps/acme/functions/orders:byUser", http.StatusBadRequest}, // no arguments: the app is let in
		{"POST", "/v1/apps/other/functions/orders:byUser", http.StatusForbidden},
	} {
		if got := status(tt.method, tt.path); got != tt.want {
			t.Errorf("%s %s answers %d, want %d", tt.method, tt.path, got, tt.want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
