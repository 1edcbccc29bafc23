package actors

import (
	"fmt"
	"slices"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is what unique keys ask of the engine: that of the jobs of one key no two run
// at once, unless they may, and that the key of a canceled job is not free before its
// handler has returned or was given up (G29).

// keyNames names functions for unique keys, which stay the same through a rename
// (dispatch.Formerly).
type keyNames struct{ functions *dispatch.Registry }

// others are the other paths that the function of the path has, or had.
func (n keyNames) others(path string) []string {
	fn, ok := n.functions.Lookup(path)
	if !ok || len(fn.Formerly) == 0 {
		return nil
	}
	paths := append([]string{fn.Path}, fn.Formerly...)
	return slices.DeleteFunc(paths, func(p string) bool { return p == path })
}

// current is the key under the path that its function has now.
func (n keyNames) current(key string) string {
	path, rest, _ := strings.Cut(key, "\x00")
	if fn, ok := n.functions.Lookup(path); ok && fn.Path != path {
		return fn.Path + "\x00" + rest
	}
	return key
}

// keyOf is the unique key of the job, or "".
func (rs *runs) keyOf(job *storage.Job) string { return rs.names.current(job.UniqueKey()) }

// list enters the run. The caller has rs.mu.
func (rs *runs) list(r *run) {
	if was := rs.byID[r.job.ID]; was != nil {
		rs.unlist(was)
	}
	rs.byID[r.job.ID] = r
	if key := rs.keyOf(&r.job); key != "" {
		if rs.byKey == nil {
			rs.byKey = map[string][]*run{}
		}
		rs.byKey[key] = append(rs.byKey[key], r)
	}
}

// unlist takes the run off the table. The caller has rs.mu.
func (rs *runs) unlist(r *run) {
	delete(rs.byID, r.job.ID)
	key := rs.keyOf(&r.job)
	if key == "" {
		return
	}
	if i := slices.Index(rs.byKey[key], r); i >= 0 {
		rs.byKey[key] = slices.Delete(rs.byKey[key], i, i+1)
	}
	if len(rs.byKey[key]) == 0 {
		delete(rs.byKey, key)
	}
}

// stopping returns a job of the unique key whose handler runs, in a goroutine of its own, or
// was told to stop and has time to return; "" if there is none.
func (rs *runs) stopping(key string) storage.JobID {
	key = rs.names.current(key)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.byKey[key] {
		if !r.mutation && r.phase == runBegun {
			return r.job.ID
		}
	}
	return rs.leavingOf(key)
}

// leavingOf returns the job of a handler that has time to return, and had the key. The
// caller has rs.mu.
func (rs *runs) leavingOf(key string) storage.JobID {
	for h, l := range rs.left {
		if l.key == key && h.phase == handlerLeaving {
			return l.Job
		}
	}
	return ""
}

// before returns the job that the pending one, of the same unique key, has to wait for; ""
// if there is none.
func (rs *runs) before(job *storage.Job) storage.JobID {
	if job.Unique == nil || job.Unique.PendingOnly {
		return ""
	}
	key := rs.keyOf(job)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.byKey[key] {
		if r.job.ID != job.ID {
			return r.job.ID
		}
	}
	return rs.leavingOf(key)
}

// keyReason is why a pending job waits for another one of its unique key, or "".
func (rs *runs) keyReason(job *storage.Job) string {
	if id := rs.before(job); id != "" {
		return fmt.Sprintf("waits for job %s, which runs and had its unique key before", id)
	}
	return ""
}
