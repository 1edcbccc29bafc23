package server

import (
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// filterKeys are the parameters of a listing's URL.
var filterKeys = []string{
	"id", "idContains", "state", "function", "trigger", "parent", "group", "error", "tag", "pool", "poolKey", "uniqueKey", "priority", "argsContains",
	"dueFrom", "dueBefore", "endedFrom", "endedBefore", "limit", "cursor", "count", "desc",
}

// filterOf makes the filter of a URL's parameters. count says whether the jobs are counted.
func filterOf(query url.Values) (f storage.JobFilter, count bool, err error) {
	if err := onlyOnce(query, filterKeys, "state", "tag"); err != nil {
		return f, false, err
	}
	for _, s := range query["state"] {
		f.States = append(f.States, storage.State(s))
	}
	f.Tags = query["tag"]
	f.ID, f.Parent = storage.JobID(query.Get("id")), storage.JobID(query.Get("parent"))
	for key, into := range map[string]*string{
		"idContains": &f.IDContains, "argsContains": &f.ArgsContains, "pool": &f.Pool, "poolKey": &f.PoolKey, "uniqueKey": &f.UniqueKey,
		"function": &f.Function, "trigger": &f.Trigger, "error": &f.Error, "cursor": &f.Cursor,
	} {
		*into = query.Get(key)
	}
	err = instantsOf(query, map[string]*time.Time{
		"dueFrom": &f.Due.From, "dueBefore": &f.Due.Before, "endedFrom": &f.Ended.From, "endedBefore": &f.Ended.Before,
	})
	if err != nil {
		return f, false, err
	}
	var group, limit, priority uint64
	for _, n := range []struct {
		key  string
		most uint64
		into *uint64
	}{{"limit", maxLimit, &limit}, {"priority", storage.MaxPriority, &priority}, {"group", 1<<63 - 1, &group}} {
		if text := query.Get(n.key); text != "" {
			if *n.into, err = strconv.ParseUint(text, 10, 63); err != nil || *n.into < 1 || *n.into > n.most {
				return f, false, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is %.32q, want 1 to %d", n.key, text, n.most)
			}
		}
	}
	f.Limit, f.Priority, f.Group = int(limit), int(priority), storage.GroupID(group)
	if f.Desc, err = flagOf(query, "desc"); err != nil {
		return f, false, err
	}
	count, err = flagOf(query, "count")
	return f, count, err
}

// askedFilter is the filter of a body.
func askedFilter(f *api.JobFilter) storage.JobFilter {
	return storage.JobFilter{
		ID: storage.JobID(f.ID), States: each(f.States, func(s api.State) storage.State { return storage.State(s) }),
		Function: f.Function, Trigger: f.Trigger, Parent: storage.JobID(f.Parent), Group: storage.GroupID(f.Group), Error: f.Error,
		Tags: f.Tags, Pool: f.Pool, PoolKey: f.PoolKey, UniqueKey: f.UniqueKey, Due: storage.TimeRange(f.Due), Ended: storage.TimeRange(f.Ended),
		Priority: f.Priority, IDContains: f.IDContains, ArgsContains: f.ArgsContains, Limit: f.Limit, Cursor: f.Cursor, Desc: f.Desc,
	}
}

// shownFilter is the filter in an answer.
func shownFilter(f *storage.JobFilter) api.JobFilter {
	return api.JobFilter{
		ID: string(f.ID), States: each(f.States, func(s storage.State) api.State { return api.State(s) }),
		Function: f.Function, Trigger: f.Trigger, Parent: string(f.Parent), Group: uint64(f.Group), Error: f.Error,
		Tags: f.Tags, Pool: f.Pool, PoolKey: f.PoolKey, UniqueKey: f.UniqueKey, Due: api.TimeRange(f.Due), Ended: api.TimeRange(f.Ended),
		Priority: f.Priority, IDContains: f.IDContains, ArgsContains: f.ArgsContains, Limit: f.Limit, Cursor: f.Cursor, Desc: f.Desc,
	}
}

// mayFilter says why the operator may not use the filter: by what is in arguments one learns
// what they are.
func (r *request) mayFilter(f *storage.JobFilter) error {
	if f.ArgsContains == "" {
		return nil
	}
	return r.op.need(ScopeReadArgs)
}

// onlyStates says whether the filter has no condition but states.
func onlyStates(f storage.JobFilter) bool {
	f.States, f.Limit, f.Cursor, f.Desc = nil, 0, "", false // the latter three are refused by name
	if len(f.Tags) == 0 {
		f.Tags = nil
	}
	return reflect.ValueOf(f).IsZero()
}

func (h *handler) listJobs(_ http.ResponseWriter, r *request) (int, any, error) {
	filter, count, err := filterOf(r.URL.Query())
	if err == nil {
		err = r.mayFilter(&filter)
	}
	if err != nil {
		return 0, nil, err
	}
	scan, err := r.app.Scheduler(r.Context()).Scan(filter, count)
	if err != nil {
		return 0, nil, err
	}
	shown := api.JobPage{Jobs: make([]api.Job, len(scan.Jobs)), Next: scan.Next}
	for i := range scan.Jobs {
		shown.Jobs[i] = jobOf(&scan.Jobs[i])
		veil(r, &shown.Jobs[i], hideInJob)
	}
	if scan.Next != "" {
		shown.Looked = &api.Looked{Jobs: scan.Looked.Jobs, In: api.Region(scan.Looked.In), To: scan.Looked.To.UTC()}
	}
	if count {
		shown.Count = &api.JobCount{Jobs: scan.Count, More: !scan.CountedAll}
	}
	return http.StatusOK, shown, nil
}
