package storage_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"carillon/storage"
)

// TestParseTrace: what the W3C's Trace Context calls valid is read, and the rest is ignored; at the
// bounds and beyond.
func TestParseTrace(t *testing.T) {
	const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	const valid = "00-" + id + "-" + span + "-01"
	for text, want := range map[string]string{
		valid:                                      valid,
		"00-" + id + "-" + span + "-00":            "00-" + id + "-" + span + "-00",
		"00-" + id + "-" + span + "-ff":            valid, // flags that this version does not know
		"01-" + id + "-" + span + "-01":            valid,
		"cc-" + id + "-" + span + "-01-what-comes": valid,
		"cc-" + id + "-" + span + "-01.what":       "",
		valid + "-x":                               "",
		valid + " ":                                "",
		"":                                         "",
		valid[:54]:                                 "",
		"ff-" + id + "-" + span + "-01":            "",
		"0g-" + id + "-" + span + "-01":            "",
		"00-" + strings.ToUpper(id) + "-" + span + "-01":     "",
		"00-" + id + "-" + strings.ToUpper(span) + "-01":     "",
		"00-" + id + "-" + span + "-0A":                      "",
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01": "",
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":   "",
		"00_" + id + "-" + span + "-01":                      "",
		"00-" + id + "_" + span + "-01":                      "",
		"00-" + id + "-" + span + "_01":                      "",
		"00-" + id[1:] + "g-" + span + "-01":                 "",
	} {
		if got := storage.ParseTrace(text, "").Traceparent(); got != want {
			t.Errorf("%q is read as %q, want %q", text, got, want)
		}
	}
	long := func(key string, n int) string { return key + "=" + strings.Repeat("x", n-len(key)-1) }
	many := func(n int) string {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf("k%d=v", i))
		}
		return strings.Join(members, ",")
	}
	for text, want := range map[string]string{
		"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
		" a=1 ,\t,b@c=2":                      "a=1,b@c=2",
		"1t@sys=x y":                          "1t@sys=x y",
		"a":                                   "",
		"a=":                                  "",
		"A=1":                                 "",
		"1a=1":                                "",
		"a=1,a=2":                             "",
		"a=b=c":                               "",
		"a=\x7f":                              "",
		"a@=1":                                "",
		"a@" + strings.Repeat("s", 14) + "=1": "a@" + strings.Repeat("s", 14) + "=1",
		"a@" + strings.Repeat("s", 15) + "=1": "",
		strings.Repeat("a", 256) + "=1":       strings.Repeat("a", 256) + "=1",
		strings.Repeat("a", 257) + "=1":       "",
		many(32):                              many(32),
		many(33):                              "",
		long("a", 256) + "," + long("b", 255): long("a", 256) + "," + long("b", 255), // 512 bytes
		long("a", 256) + "," + long("b", 256): long("a", 256),
		long("a", 258):                        long("a", 258),
		long("a", 259):                        "",
	} {
		if got := storage.ParseTrace(valid, text).State; got != want {
			t.Errorf("the state %q is read as %q, want %q", text, got, want)
		}
	}
}

// TestAJobHasItsTrace: through its record, and so has its follow-up; over a reopen.
func TestAJobHasItsTrace(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	own := storage.ParseTrace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1")
	next := storage.ParseTrace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203332-00", "")
	mustUpdateJobs(t, mustApp(t, s, "acme"), func(w storage.JobWriter) {
		mustInsert(t, w, storage.Job{ID: "traced", Trace: own, Then: &storage.Job{Function: "bells:toll", Trace: next, Due: testNow, ScheduledFor: testNow, State: storage.StatePending, Priority: storage.DefaultPriority}})
		mustInsert(t, w, storage.Job{ID: "plain"})
	})
	mustClose(t, s)
	mustRead(t, mustApp(t, mustOpen(t, dir, storage.Options{}), "acme"), func(r storage.Reader) {
		job, _, err := r.System().Get("traced")
		if err != nil || !reflect.DeepEqual(job.Trace, own) || job.Then == nil || !reflect.DeepEqual(job.Then.Trace, next) {
			t.Errorf("it has %+v, %v", job.Trace, err)
		}
		if job, _, err := r.System().Get("plain"); err != nil || job.Trace != nil {
			t.Errorf("another has %+v, %v", job.Trace, err)
		}
	})
}
