package linear_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/anishathalye/porcupine"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// linearSeed is the app that is imported where one was deleted: it has all of this
// in one instant.
var linearSeed = linearState{Docs: [linearDocs]int{1: 500}, Far: "-o"}

// linearSeeding makes it.
var linearSeeding = []linearStep{{Do: "put", Key: 1, Value: 500}, {Do: "schedule", Key: 1}}

// mustSeed opens the store of copies and has the engine export linearSeed.
func (r *linearRun) mustSeed(eng *actors.Engine, dir string) {
	r.t.Helper()
	store, err := storage.Open(dir, storage.Options{Volumes: 1, NoSync: true, Tables: []storage.Schema{linearTable}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.copies = store
	seed, err := eng.App("seed")
	if err == nil {
		_, err = linearWrite.Run(seed.As(r.t.Context(), nil), linearOp{Steps: linearSeeding})
	}
	var stream bytes.Buffer
	if err == nil {
		err = eng.Export(r.t.Context(), "seed", &stream)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.seed = stream.Bytes()
}

// transfer exports, deletes or imports the app beside the calls of the others.
func (r *linearRun) transfer(eng *actors.Engine, app *linearApp, client int) bool {
	if rand.IntN(2) == 0 {
		return r.export(eng, app, client)
	}
	ctx, cancel := r.t.Context(), context.CancelFunc(func() {})
	if rand.IntN(3) == 0 { // it may give up, and is then no operation
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
	}
	defer cancel()
	return r.change(app, client, "delete", func() error { return eng.Delete(ctx, app.id) }) &&
		(rand.IntN(2) == 0 || r.change(app, client, "import", func() error {
			return eng.Import(r.t.Context(), app.id, bytes.NewReader(r.seed))
		}))
}

// change does what makes or takes away the whole app.
func (r *linearRun) change(app *linearApp, client int, what string, do func() error) bool {
	op := porcupine.Operation{ClientId: client, Input: []linearStep{{Do: what}}, Call: r.now()}
	err := do()
	op.Return = r.now()
	crashed := r.crashed.Load()
	var code dispatch.Code
	if err != nil {
		code = dispatch.AsError(err).Code
	}
	switch {
	case code == "":
		op.Output = linearAnswer{Seen: []linearSeen{{}}}
		app.note(op, false)
	case crashed, code == dispatch.CodeUnknown:
		op.Output = linearAnswer{Unknown: true}
		app.note(op, crashed)
	case code == dispatch.CodeNotFound: // as if it had looked, and seen nothing
		op.Input, op.Output = []linearStep{{Do: "look"}}, linearAnswer{Seen: []linearSeen{{}}}
		app.note(op, false)
	case code == dispatch.CodeDeadlineExceeded, code == dispatch.CodeUnavailable, code == dispatch.CodeAborted,
		code == dispatch.CodeAlreadyExists:
		// It has changed nothing.
	default:
		r.tally.Other("%s of app %s: %v", what, app.id, err)
	}
	return !crashed
}

// export has a look at all that is in a copy of the app: the copy is of one instant.
func (r *linearRun) export(eng *actors.Engine, app *linearApp, client int) bool {
	op := porcupine.Operation{ClientId: client, Input: []linearStep{{Do: "look"}}, Call: r.now()}
	var stream bytes.Buffer
	err := eng.Export(r.t.Context(), app.id, &stream)
	op.Return = r.now()
	crashed := r.crashed.Load()
	var code dispatch.Code
	if err != nil {
		code = dispatch.AsError(err).Code
	}
	switch {
	case code == "":
		all, err := r.copied(stream.Bytes())
		if err != nil {
			r.tally.Other("a copy of app %s: %v", app.id, err)
			return false
		}
		op.Output = linearAnswer{Seen: []linearSeen{{All: all}}}
		app.note(op, false)
	case code == dispatch.CodeNotFound && !crashed:
		op.Output = linearAnswer{Seen: []linearSeen{{}}}
		app.note(op, false)
	case crashed, code == dispatch.CodeUnavailable, code == dispatch.CodeUnknown:
	default:
		r.tally.Other("export of app %s: %v", app.id, err)
	}
	return !crashed
}

// copied reads all that an exported app has, in a store where nothing of it runs.
func (r *linearRun) copied(stream []byte) (all linearState, err error) {
	id := storage.AppID(fmt.Sprint("copy-", r.exports.Add(1)))
	if err := r.copies.Import(r.t.Context(), id, bytes.NewReader(stream)); err != nil {
		return all, err
	}
	app, err := r.copies.App(id)
	if err != nil {
		return all, err
	}
	snap, err := app.Snapshot(time.Now())
	if err != nil {
		return all, err
	}
	defer snap.Close()
	return linearLook(snap.Reader())
}

// linearRan is a near job whose handler has begun.
type linearRan struct {
	app storage.AppID
	key int
}

// gone is the runs of near jobs that a delete has taken away: each may have had
// its effect before, if its handler has begun.
func (r *linearRun) gone(app *linearApp, op porcupine.Operation, do linearStep, last int64) (runs []porcupine.Operation) {
	if _, ran := r.ran.Load(linearRan{app.id, do.Key}); !ran {
		return nil
	}
	for _, del := range app.history {
		if del.Input.([]linearStep)[0].Do == "delete" && !del.Output.(linearAnswer).Unknown && del.Call >= op.Return {
			last = min(last, del.Return)
		}
	}
	return []porcupine.Operation{{
		ClientId: linearClients, Call: op.Call + int64(do.Value)*int64(time.Millisecond), Return: last,
		Input: []linearStep{{Do: "fire", Key: do.Key, Near: true}}, Output: linearAnswer{Unknown: true},
	}}
}
