// A mutation's DB is for documents: no job and no trigger comes into being, or
// goes, through it, and the engine's writer cannot be made from it.
package misuse

import (
	"carillon/dispatch"
	"carillon/storage"
)

var forge = dispatch.Mutation[storage.JobID, dispatch.None]("jobs:forge")

func functions(reg *dispatch.Registry) {
	forge.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.JobID) (none dispatch.None, err error) {
		_, err = storage.InsertJob(ctx.DB, storage.Job{Function: "no:such"})       // want "cannot use ctx.DB (variable of interface type storage.Writer) as storage.JobWriter value in argument to storage.InsertJob"
		_, err = storage.InsertTick(ctx.DB, storage.Job{Trigger: "nobody's"})      // want "cannot use ctx.DB (variable of interface type storage.Writer) as storage.JobWriter value in argument to storage.InsertTick"
		_, err = storage.CancelJob(ctx.DB, id)                                     // want "cannot use ctx.DB (variable of interface type storage.Writer) as storage.JobWriter value in argument to storage.CancelJob"
		_, err = storage.RemoveTick(ctx.DB, id)                                    // want "cannot use ctx.DB (variable of interface type storage.Writer) as storage.JobWriter value in argument to storage.RemoveTick"
		err = storage.PutTrigger(ctx.DB, &storage.Trigger{NextJob: id})            // want "cannot use ctx.DB (variable of interface type storage.Writer) as storage.JobWriter value in argument to storage.PutTrigger"
		err = storage.DeleteTrigger(ctx.DB, "nightly")                             // want "cannot use ctx.DB (variable of interface type storage.Writer) as storage.JobWriter value in argument to storage.DeleteTrigger"
		err = storage.LogSlot(ctx.DB, "nightly", storage.Slot{})                   // want "cannot use ctx.DB (variable of interface type storage.Writer) as storage.JobWriter value in argument to storage.LogSlot"
		err = storage.Nested(ctx.DB, func(storage.JobWriter) error { return nil }) // want "cannot use ctx.DB (variable of interface type storage.Writer) as storage.JobWriter value in argument to storage.Nested"
		_ = ctx.DB.JobWriter()                                                     // want "ctx.DB.JobWriter undefined (type storage.Writer has no field or method JobWriter)"
		_ = ctx.DB.(storage.JobWriter)                                             // want "impossible type assertion: ctx.DB.(storage.JobWriter)\n\tstorage.JobWriter does not implement storage.Writer (missing method reader)"
		_ = ctx.DB.(*storage.Tx)                                                   // want "impossible type assertion: ctx.DB.(*storage.Tx)\n\t*storage.Tx does not implement storage.Writer (missing method System)"
		_ = ctx.Scheduler.(storage.JobWriter)                                      // want "impossible type assertion: ctx.Scheduler.(storage.JobWriter)\n\tstorage.JobWriter does not implement dispatch.Scheduler (missing method Cancel)"
		_ = storage.JobWriter(ctx.DB)                                              // want "cannot convert ctx.DB (variable of interface type storage.Writer) to type storage.JobWriter"
		_ = storage.JobWriter{ctx.DB}                                              // want "implicit assignment to unexported field v in struct literal of type storage.JobWriter"
		return none, err
	})
}
