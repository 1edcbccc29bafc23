package kill_test

import (
	"encoding/json"
	"net/http"
	"strings"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Some jobs of the observed server have a follow-up, which writes down what it was told, and a
// result that lies beside its job. Clients wait for the ends of some.

// killTold is what a follow-up was told of the end of the job with that key.
type killTold struct {
	Key     string        `json:"key"`
	Job     storage.JobID `json:"job"`
	State   storage.State `json:"state"`
	Ordinal int           `json:"ordinal"`
	Whole   bool          `json:"whole"` // with the result, if it was a success
}

var (
	killTolds = storage.NewTable[killTold]("killTolds", storage.Index("by_key", "key"))

	killChainLater = dispatch.Mutation[killLater, storage.JobID]("chain:later")
	killChainFirst = dispatch.InternalMutation[string, string]("chain:first")
	killChainTell  = dispatch.InternalMutation[string, dispatch.None]("chain:tell")
	killChainTold  = dispatch.Query[string, []killTold]("chain:told")
)

// killReturned is the result of the first job of a chain.
func killReturned(key string) string { return strings.Repeat(key+" ", 100) }

func handleChains(reg *dispatch.Registry) {
	killChainLater.Handle(reg, func(ctx *dispatch.MutationCtx, args killLater) (storage.JobID, error) {
		return ctx.Scheduler.RunAfter(args.after(), killChainFirst.With(args.Key), dispatch.OnDone(killChainTell.With(args.Key)), dispatch.Tags(killWatched))
	})
	killChainFirst.Handle(reg, func(_ *dispatch.MutationCtx, key string) (string, error) { return killReturned(key), nil })
	killChainTell.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (dispatch.None, error) {
		o := ctx.Job.Outcome
		text, err := dispatch.ResultOf[string](o)
		_, err = killTolds.Insert(ctx.DB, killTold{key, o.Job, o.State, o.Ordinal, err == nil && text == killReturned(key)})
		return dispatch.None{}, err
	})
	killChainTold.Handle(reg, func(ctx *dispatch.QueryCtx, key string) (tolds []killTold, err error) {
		for doc, err := range killTolds.Query(ctx.DB).By("by_key").Eq(key).All() {
			if err != nil {
				return nil, err
			}
			tolds = append(tolds, doc.Value)
		}
		return tolds, nil
	})
}

// killWait is the path at which the server waits for the end of a job, for which it has no route.
const killWait = "/wait/{app}/{job}"

// killEnded is what it answers.
type killEnded struct {
	State  storage.State
	Result json.RawMessage
}

// waitHandler serves killWait.
func waitHandler(eng *actors.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var job storage.Job
		app, err := eng.App(storage.AppID(r.PathValue("app")))
		if err == nil {
			job, err = app.Wait(r.Context(), storage.JobID(r.PathValue("job")))
		}
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			e := dispatch.AsError(err)
			_ = json.NewEncoder(w).Encode(killRefusal{e.Code, e.Message})
			return
		}
		_ = json.NewEncoder(w).Encode(struct{ Result killEnded }{killEnded{job.State, job.Result}})
	}
}

// wait asks for the end of the job.
func (l *killLoop) wait(life *killLife, app string, job storage.JobID) (ended killEnded, err error) {
	path := strings.NewReplacer("{app}", app, "{job}", string(job)).Replace(killWait)
	return ended, l.send(life, http.MethodGet, path, nil, &ended)
}

// chain demands that the end of a job was told once, as it was, and that its result is there; and
// that what a client was told of the end is still true (G32, G33).
func (v *killVerdict) chain(d killOp) error {
	var tolds []killTold
	if err := v.call(v.life, d.App, killChainTold.Path(), d.Key, &tolds); err != nil {
		return err
	}
	if _, err := v.ran(d); err != nil {
		return err
	}
	if len(tolds) > 1 {
		v.tally.Doubled("the end of %s, job %v, was told %d times: %+v", d.Key, d.Jobs, len(tolds), tolds)
	}
	if !d.Acked {
		return nil
	}
	ended, err := v.wait(v.life, d.App, d.Jobs[0])
	if err != nil {
		return err
	}
	whole := false
	if ended.State == storage.StateSuccess {
		var text string
		if whole = json.Unmarshal(ended.Result, &text) == nil && text == killReturned(d.Key); !whole {
			v.tally.Lost("the result of job %s (%s) is %q", d.Jobs[0], d.Key, ended.Result)
		}
	}
	switch want := (killTold{d.Key, d.Jobs[0], ended.State, 1, whole}); {
	case len(tolds) == 0:
		v.tally.Lost("job %s (%s) is %s, and its follow-up has not run", d.Jobs[0], d.Key, ended.State)
	case tolds[0] != want:
		v.tally.Other("of job %s (%s), which is %s, its follow-up was told %+v", d.Jobs[0], d.Key, ended.State, tolds[0])
	}
	if d.Ended != "" && d.Ended != ended.State {
		v.tally.Lost("a client was told that job %s (%s) is %s, and it is %s", d.Jobs[0], d.Key, d.Ended, ended.State)
	}
	return nil
}
