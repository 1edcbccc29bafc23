package kill_test

import (
	"encoding/json"
	"net/http"
	"runtime"

	"carillon/dispatch"
	"carillon/storage"
)

// loadDoc is what everything that is applied leaves behind: one for each key, if it was applied once.
type loadDoc struct {
	Key string
}

// loadArgs is a call with the text of a size.
type loadArgs struct {
	Key  string
	Text string
}

type loadRef struct{ ID storage.ID[loadDoc] }

var (
	loadDocs = storage.NewTable[loadDoc]("loaddocs")

	loadAdd  = dispatch.Mutation[loadArgs, storage.ID[loadDoc]]("load:add")
	loadRead = dispatch.Query[loadRef, loadDoc]("load:read")
	loadAsk  = dispatch.Action[loadArgs, storage.ID[loadDoc]]("load:ask")
	loadJob  = dispatch.InternalMutation[loadArgs, storage.ID[loadDoc]]("load:job")
)

// handleLoad registers what TestG39_Load calls.
func handleLoad(reg *dispatch.Registry) {
	add := func(ctx *dispatch.MutationCtx, args loadArgs) (storage.ID[loadDoc], error) {
		return loadDocs.Insert(ctx.DB, loadDoc{args.Key})
	}
	loadAdd.Handle(reg, add)
	loadJob.Handle(reg, add)
	loadRead.Handle(reg, func(ctx *dispatch.QueryCtx, ref loadRef) (loadDoc, error) { return loadDocs.Get(ctx.DB, ref.ID) })
	loadAsk.Handle(reg, func(ctx *dispatch.ActionCtx, args loadArgs) (storage.ID[loadDoc], error) {
		return loadAdd.Run(ctx, args)
	})
}

// loadHeap is the path of how much memory the server holds, in bytes.
const loadHeap = "/heap"

func heapHandler(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	_ = json.NewEncoder(w).Encode(struct{ Result uint64 }{m.HeapAlloc})
}
