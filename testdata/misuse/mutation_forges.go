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
		_, err = ctx.DB.InsertJob(storage.Job{Function: "no:such"})       // want "ctx.DB.InsertJob undefined (type storage.Writer has no field or method InsertJob)"
		_, err = ctx.DB.InsertTick(storage.Job{Trigger: "nobody's"})      // want "ctx.DB.InsertTick undefined (type storage.Writer has no field or method InsertTick)"
		_, err = ctx.DB.CancelJob(id)                                     // want "ctx.DB.CancelJob undefined (type storage.Writer has no field or method CancelJob)"
		_, err = ctx.DB.RemoveTick(id)                                    // want "ctx.DB.RemoveTick undefined (type storage.Writer has no field or method RemoveTick)"
		err = ctx.DB.PutTrigger(&storage.Trigger{NextJob: id})            // want "ctx.DB.PutTrigger undefined (type storage.Writer has no field or method PutTrigger)"
		err = ctx.DB.DeleteTrigger("nightly")                             // want "ctx.DB.DeleteTrigger undefined (type storage.Writer has no field or method DeleteTrigger)"
		err = ctx.DB.LogSlot("nightly", storage.Slot{})                   // want "ctx.DB.LogSlot undefined (type storage.Writer has no field or method LogSlot)"
		err = ctx.DB.Nested(func(storage.JobWriter) error { return nil }) // want "ctx.DB.Nested undefined (type storage.Writer has no field or method Nested)"
		_ = ctx.DB.JobWriter()                                            // want "ctx.DB.JobWriter undefined (type storage.Writer has no field or method JobWriter)"
		_ = ctx.DB.(storage.JobWriter)                                    // want "impossible type assertion: ctx.DB.(storage.JobWriter)\n\tstorage.JobWriter does not implement storage.Writer (missing method reader)"
		_ = ctx.DB.(*storage.Tx)                                          // want "impossible type assertion: ctx.DB.(*storage.Tx)\n\t*storage.Tx does not implement storage.Writer (missing method System)"
		_ = ctx.Scheduler.(storage.JobWriter)                             // want "impossible type assertion: ctx.Scheduler.(storage.JobWriter)\n\tstorage.JobWriter does not implement dispatch.Scheduler (missing method Cancel)"
		_ = storage.JobWriter(ctx.DB)                                     // want "cannot convert ctx.DB (variable of interface type storage.Writer) to type storage.JobWriter"
		_ = storage.JobWriter(ctx.DB.System())                            // want "cannot convert ctx.DB.System() (value of struct type storage.System) to type storage.JobWriter"
		_ = storage.JobWriter{ctx.DB}                                     // want "implicit assignment to unexported field v in struct literal of type storage.JobWriter"
		return none, err
	})
}
