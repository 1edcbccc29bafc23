package kill_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Some actions of the observed server end from outside: they hand a token to the observer, and a
// client of its own answers, some of them more than once.

// killAsk is the argument of such an action.
type killAsk struct {
	Key     string
	Ms      int // how long it goes on when it has told the token
	AfterMs int
}

// killAsked is what the observer is told.
type killAsked struct {
	Life    int
	Key     string
	Job     string // its idempotency key
	Attempt int
	Token   string
}

var (
	killAskLater = dispatch.Mutation[killAsk, storage.JobID]("ask:later")
	killAskRun   = dispatch.InternalAction[killAsk, string]("ask:run")
)

func handleAsks(reg *dispatch.Registry, observer string, life int) {
	killAskLater.Handle(reg, func(ctx *dispatch.MutationCtx, args killAsk) (storage.JobID, error) {
		later := killLater{AfterMs: args.AfterMs}
		return ctx.Scheduler.RunAfter(later.after(), killAskRun.With(args), killRetry, dispatch.Tags(killWatched), dispatch.OnDone(killChainTell.With(args.Key)))
	})
	killAskRun.Handle(reg, func(ctx *dispatch.ActionCtx, args killAsk) (string, error) {
		token, err := ctx.Pending(24 * time.Hour)
		if err != nil {
			return "", err
		}
		if err := tellObserver(observer+killTokens, killAsked{life, args.Key, ctx.Job.IdempotencyKey(), ctx.Job.Attempt, token}); err != nil {
			return "", err
		}
		more := time.NewTimer(time.Duration(args.Ms) * time.Millisecond)
		defer more.Stop()
		select {
		case <-more.C:
		case <-ctx.Done():
		}
		return "", dispatch.ErrPending
	})
}

// killTokens is where the observer is told of tokens.
const killTokens = "/tokens"

// killAnswer is the path at which the server is told how an attempt ends, for which it has no
// route.
const killAnswer = "/answer/{app}"

// killSay is what it is told: a result, or that the attempt fails.
type killSay struct {
	Token, Result string
	Fails         bool
}

// answerHandler serves killAnswer.
func answerHandler(eng *actors.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var say killSay
		var ok bool
		err := json.NewDecoder(r.Body).Decode(&say)
		if err != nil {
			return // the one who asks is gone
		}
		app, err := eng.App(storage.AppID(r.PathValue("app")))
		switch {
		case err != nil:
		case say.Fails:
			ok, err = app.Fail(r.Context(), say.Token, dispatch.Errorf(dispatch.CodeUnavailable, "no"))
		default:
			ok, err = app.Complete(r.Context(), say.Token, say.Result)
		}
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			e := dispatch.AsError(err)
			_ = json.NewEncoder(w).Encode(killRefusal{e.Code, e.Message})
			return
		}
		_ = json.NewEncoder(w).Encode(ok)
	}
}

// killAnswers answers what is asked, and writes down what it was told of that.
type killAnswers struct {
	loop  *killLoop
	asked int // of the tokens of the observer
	told  []killAnswered
}

// killAnswered is an answer, and what was said of it.
type killAnswered struct {
	killAsked
	Result string
	Fails  bool
	In     int           // the life that was told
	Acked  bool          // else it is not known whether the attempt has ended by it
	OK     bool          // it has
	Code   dispatch.Code // why it was refused
}

// run answers while the loop goes on.
func (k *killAnswers) run() error {
	for life := k.loop.serving(0); life != nil && !k.loop.stopped(); {
		next, ok := k.loop.observer.token(k.asked)
		if !ok {
			k.loop.pause(5 * time.Millisecond)
			continue
		}
		k.loop.pause(time.Duration(rand.IntN(10)) * time.Millisecond)
		switch over, err := k.answer(life, next); {
		case err != nil:
			return err
		case over:
			k.asked++
		default:
			life = k.loop.serving(life.number + 1)
		}
	}
	return nil
}

// rest answers all that has been asked by now.
func (k *killAnswers) rest(life *killLife) error {
	for ; ; k.asked++ {
		next, ok := k.loop.observer.token(k.asked)
		if !ok {
			return nil
		}
		if _, err := k.answer(life, next); err != nil {
			return err
		}
	}
}

// answer answers for one token, now and then twice. over is false if the server was killed
// meanwhile.
func (k *killAnswers) answer(life *killLife, to killAsked) (over bool, err error) {
	for again := true; again; again = rand.IntN(3) == 0 {
		say := killSay{Token: to.Token, Result: fmt.Sprintf("answer %d", len(k.told)), Fails: to.Attempt <= 2 && rand.IntN(5) == 0}
		app, _, _ := strings.Cut(to.Job, "/")
		body, err := json.Marshal(say)
		if err != nil {
			return false, err
		}
		answer, err := k.loop.raw(life, http.MethodPost, strings.ReplaceAll(killAnswer, "{app}", app), body)
		told := killAnswered{killAsked: to, Result: say.Result, Fails: say.Fails, In: life.number, Acked: true}
		var refused *killRefusal
		switch {
		case err == nil:
			err = json.Unmarshal(answer, &told.OK)
		case errors.As(err, &refused):
			told.Code, err = refused.Code, nil
		}
		told.Acked = err == nil
		if k.told = append(k.told, told); err != nil {
			return false, nil
		}
	}
	return true, nil
}

// checkAnswers demands that each attempt has ended once, that an answer that was acknowledged is
// how the job has ended, and that a token of an attempt that goes on is known (G33). ends are the
// jobs, by their idempotency keys; canceled says whether it was asked for the cancel of one.
func checkAnswers(to killFinder, told []killAnswered, ends map[string]killEnded, canceled map[string]bool) {
	type attempt struct{ over, perhaps, failed bool } // ended by an answer, or it is not known
	tokens := map[string]*attempt{}
	results := map[string][]string{} // by which the job may have ended
	over := map[string]killAnswered{}
	for _, a := range told {
		of := tokens[a.Token]
		if of == nil {
			of = new(attempt)
			tokens[a.Token] = of
		}
		switch {
		case a.Code == dispatch.CodeNotFound:
			// A kill has begun the attempt anew, or there is another one.
			if job, ended := over[a.Job]; ended && job.Token == a.Token || a.In == a.Life && !of.failed && !canceled[a.Job] {
				to.Lost("the token of attempt %d of job %s (%s), made in life %d, was not found in life %d", a.Attempt, a.Job, a.Key, a.Life, a.In)
			}
		case a.Code != "":
			to.Other("an answer for attempt %d of job %s (%s) was refused: %s", a.Attempt, a.Job, a.Key, a.Code)
		case a.Acked && !a.OK && !of.over && !of.perhaps && !canceled[a.Job]:
			to.Other("attempt %d of job %s (%s) had ended, it is said, and was not answered", a.Attempt, a.Job, a.Key)
		case a.OK && of.over:
			to.Doubled("attempt %d of job %s (%s) has ended twice", a.Attempt, a.Job, a.Key)
		case a.OK && over[a.Job].OK:
			to.Doubled("job %s (%s) has ended by %q, and then attempt %d by another answer", a.Job, a.Key, over[a.Job].Result, a.Attempt)
		}
		if !a.OK && a.Acked {
			continue
		}
		of.over, of.perhaps, of.failed = of.over || a.OK, of.perhaps || !a.Acked, of.failed || a.Fails
		if !a.Fails {
			results[a.Job] = append(results[a.Job], a.Result)
			if a.OK {
				over[a.Job] = a
			}
		}
	}
	for job, a := range over {
		var result string
		if canceled[job] && ends[job].State == storage.StateCanceled {
			continue // before its handler had returned
		}
		if end := ends[job]; end.State != storage.StateSuccess || json.Unmarshal(end.Result, &result) != nil || result != a.Result {
			to.Lost("job %s (%s) was told to end by %q, and it is %s with %s", job, a.Key, a.Result, end.State, end.Result)
		}
	}
	for job, end := range ends {
		var result string
		if end.State != storage.StateSuccess {
			continue
		}
		if err := json.Unmarshal(end.Result, &result); err != nil || !slices.Contains(results[job], result) {
			to.Other("job %s is a success with %s, and no answer of it was that: %q", job, end.Result, results[job])
		}
	}
}

// verify looks at the ends of all jobs that were answered.
func (k *killAnswers) verify(life *killLife, canceled map[string]bool) {
	ends := map[string]killEnded{}
	for _, a := range k.told {
		if _, known := ends[a.Job]; known {
			continue
		}
		app, id, _ := strings.Cut(a.Job, "/")
		end, err := k.loop.wait(life, app, storage.JobID(id))
		if err != nil {
			k.loop.tally.Other("waiting for job %s: %v", a.Job, err)
		}
		ends[a.Job] = end
	}
	checkAnswers(k.loop.tally, k.told, ends, canceled)
}

// ask demands that the end of a job that ends from outside was told once.
func (v *killVerdict) ask(d killOp) error {
	if _, err := v.ran(d); err != nil || !d.Acked {
		return err
	}
	end, err := v.wait(v.life, d.App, d.Jobs[0])
	if err != nil {
		return err
	}
	var tolds []killTold
	if err := v.call(v.life, d.App, killChainTold.Path(), d.Key, &tolds); err != nil {
		return err
	}
	switch {
	case len(tolds) > 1:
		v.tally.Doubled("the end of %s, job %v, was told %d times: %+v", d.Key, d.Jobs, len(tolds), tolds)
	case len(tolds) == 0 || tolds[0].State != end.State:
		v.tally.Lost("job %v (%s) is %s, and its follow-up was told %+v", d.Jobs, d.Key, end.State, tolds)
	}
	return nil
}
