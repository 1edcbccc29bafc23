package dispatch

import "encoding/json"

// EncodeIdentity is what AsCaller stores.
var EncodeIdentity = encodeIdentity

// Schedulable is what the planner asks of a call.
func (r *Registry) Schedulable(call Call, limits Limits) (*Function, json.RawMessage, error) {
	return r.schedulable(call, limits)
}

// CheckArgs says whether the function takes the arguments.
func (f *Function) CheckArgs(args json.RawMessage) error { return f.checkArgs(args) }
