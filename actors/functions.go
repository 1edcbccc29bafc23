package actors

import "carillon/dispatch"

// Functions returns the functions that the engine runs, of every app, which is sealed.
func (e *Engine) Functions() *dispatch.Registry { return e.opts.Functions }
