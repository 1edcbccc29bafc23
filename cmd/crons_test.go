package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

func TestCronsCheck(t *testing.T) {
	if out, err := runs(t, "crons", "check"); err != nil || out != "ok, triggers: 3\n" {
		t.Errorf("got %v, %q", err, out)
	}
	none := dispatch.None{}
	faulty := []dispatch.Trigger{
		{Name: "fine", Schedule: cron.Daily(3, 0), Call: dispatch.Path("presence:sweep").With(none)},
		{Name: "missing", Schedule: cron.Daily(3, 0), Call: dispatch.Path("no:thing").With(none)},
		{Name: "query", Schedule: cron.Daily(3, 0), Call: dispatch.Path("presence:list").With(none)},
		{Name: "args", Schedule: cron.Daily(3, 0), Call: dispatch.Path("presence:ping").With(map[string]any{"user": 7})},
		{Name: "spec", Schedule: cron.Expr("0 0 30 2 *"), Call: dispatch.Path("presence:sweep").With(none)},
		{Name: "zone", Schedule: cron.Daily(3, 0), Zone: "Mars/Base", Call: dispatch.Path("presence:sweep").With(none)},
		{Name: "fine", Schedule: cron.Daily(3, 0), Call: dispatch.Path("presence:sweep").With(none)},
	}
	var out, errs bytes.Buffer
	err := checkCrons(Stdio{Out: &out, Err: &errs}, sample.Functions(), faulty)
	var reported reportedError
	if !errors.As(err, &reported) || ExitCode(err) != 1 || out.Len() > 0 {
		t.Errorf("got %v, code %d, output %s", err, ExitCode(err), &out)
	}
	lines := strings.Split(strings.TrimSuffix(errs.String(), "\n"), "\n")
	want := []string{
		`trigger missing: no:thing: no function "no:thing"`,
		`trigger query: presence:list: function "presence:list" is a query`,
		`trigger args: presence:ping: args: unknown field "user"`,
		`trigger spec: presence:sweep: trigger spec: spec "0 0 30 2 *": day-of-month: no such day`,
		`trigger zone: presence:sweep: trigger zone: spec "0 3 * * *": zone: `,
		`trigger fine: presence:sweep: the name is declared twice`,
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(want), &errs)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("got %s\nwant %s", line, want[i])
		}
	}
}

func TestCronsNext(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{
			"json, into summer time",
			[]string{"--spec", "30 2 * * *", "--zone", "America/New_York", "--from", "2026-03-08T01:59:00-05:00", "-n", "2", "-o", "json"},
			`["2026-03-08T07:00:00Z","2026-03-09T06:30:00Z"]` + "\n",
		},
		{
			"text, into summer time",
			[]string{"--spec", "30 2 * * *", "--zone", "America/New_York", "--from", "2026-03-08T06:59:00Z", "-n", "2"},
			"at 02:30 every day, America/New_York\nSun 2026-03-08 03:00:00 -04:00  2026-03-08T07:00:00Z\nMon 2026-03-09 02:30:00 -04:00  2026-03-09T06:30:00Z\n",
		},
		{
			"text, UTC",
			[]string{"--spec", "*/15 * * * *", "--from", "2026-01-01T00:00:00Z", "-n", "1"},
			"every 15 minutes, UTC\nThu 2026-01-01 00:15:00 +00:00\n",
		},
		{
			"after, not at",
			[]string{"--spec", "0 0 29 2 *", "--from", "2096-02-29T00:00:00Z", "-n", "1", "-o", "json"},
			`["2104-02-29T00:00:00Z"]` + "\n",
		},
		{
			"an interval counts from --from",
			[]string{"--spec", "@every 90s", "--from", "2026-01-01T00:00:10Z", "-n", "2", "-o=json"},
			`["2026-01-01T00:01:40Z","2026-01-01T00:03:10Z"]` + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if out, err := runs(t, append([]string{"crons", "next"}, tt.args...)...); err != nil || out != tt.want {
				t.Errorf("got %v\n%swant\n%s", err, out, tt.want)
			}
		})
	}

	// Without --from and -n: the next five from now on.
	begin := time.Now()
	out, err := runs(t, "crons", "next", "--spec", "* * * * * *", "-o", "json")
	var instants []time.Time
	if err == nil {
		err = json.Unmarshal([]byte(out), &instants)
	}
	if err != nil || len(instants) != 5 || !instants[0].After(begin) || instants[0].After(time.Now().Add(time.Second)) {
		t.Errorf("got %v, %s", err, out)
	}
	if out, err := runs(t, "crons", "next", "--spec", "@daily", "-n", "1000", "-o", "json"); err != nil || strings.Count(out, "T00:00:00Z") != 1000 {
		t.Errorf("a thousand: %v", err)
	}
}

func TestCronsUsage(t *testing.T) {
	const more = `; "carillon help crons`
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"crons"}, `crons: which command? "carillon help crons" lists them`},
		{[]string{"crons", "nxt"}, `crons: unknown command "nxt"; "carillon help crons" lists them`},
		{[]string{"crons", "next"}, `crons next: spec "": spec: it is empty` + more},
		{[]string{"crons", "next", "--spec", "99 * * * *"}, `crons next: spec "99 * * * *": minute: 99 is above 59` + more},
		{[]string{"crons", "next", "--spec", "TZ=UTC * * * * *"}, `crons next: spec "TZ=UTC * * * * *": zone: `},
		{[]string{"crons", "next", "--spec", "0 0 30 2 *", "-o", "json"}, `crons next: spec "0 0 30 2 *": day-of-month: `},
		{[]string{"crons", "next", "--spec", "@daily", "--zone", "Mars/Base"}, `crons next: spec "@daily": zone: `},
		{[]string{"crons", "next", "--spec", "@daily", "-n", "0"}, `crons next: -n is 0, want 1 to 1000` + more},
		{[]string{"crons", "next", "--spec", "@daily", "-n", "1001"}, `crons next: -n is 1001, want 1 to 1000` + more},
		{[]string{"crons", "next", "--spec", "@daily", "-o", "xml"}, `crons next: -o is "xml", want table, json or jsonl` + more},
		{[]string{"crons", "next", "--spec", "@daily", "--from", "today"}, `crons next: --from is "today", want an instant in RFC 3339`},
		{[]string{"crons", "next", "@daily", "@hourly"}, `crons next: unexpected argument "@hourly"` + more},
		{[]string{"crons", "list"}, `crons list: --app is missing` + more},
		{[]string{"crons", "list", "--app", "acme", "x"}, `crons list: unexpected argument "x"` + more},
		{[]string{"crons", "show", "--app", "acme"}, `crons show: the trigger's name is missing` + more},
		{[]string{"crons", "show", "a", "b", "--app", "acme"}, `crons show: unexpected argument "b"` + more},
		{[]string{"crons", "show", "a/b", "--app", "acme"}, `crons show: invalid argument: trigger name "a/b"`},
		{[]string{"crons", "run", "a", "--app", "acme", "--server", "ftp://127.0.0.1"}, `crons run: --server is "ftp://127.0.0.1", want host:port, or a URL`},
		{[]string{"crons", "run", "a", "--app", "acme", "--token", "a b"}, `crons run: the admin token has a space`},
		{[]string{"demo", "--admin-token", "a\nb"}, `demo: the admin token has a space`},
	} {
		out, err := runs(t, tt.args...)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || out != "" || ExitCode(err) != 2 {
			t.Errorf("carillon %q: got %v, code %d, output %q\nwant %s", tt.args, err, ExitCode(err), out, tt.want)
		}
	}
	for _, args := range [][]string{{"help", "crons"}, {"crons", "help"}, {"crons", "-h"}, {"crons", "--help"}} {
		if out, err := runs(t, args...); err != nil || !strings.Contains(out, "\n  next ") {
			t.Errorf("%v: got %v, %s", args, err, out)
		}
	}
	for _, args := range [][]string{{"help", "crons", "next"}, {"crons", "next", "-h"}} {
		if out, err := runs(t, args...); err != nil || !strings.Contains(out, "--zone ZONE") {
			t.Errorf("%v: got %v, %s", args, err, out)
		}
	}
}

// TestCronsRemote looks after the triggers of a server that is running.
func TestCronsRemote(t *testing.T) {
	s := mustServe(t, t.Context(), filepath.Join(t.TempDir(), "data"))
	site, _, _ := strings.Cut(s.url, "/v1/")
	s.mustCall(t, "acme", "presence:ping", `{"userId":"ann"}`)
	at := []string{"--app", "acme", "--server", site}
	must := func(want string, args ...string) string {
		t.Helper()
		out, err := runs(t, append([]string{"crons"}, args...)...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("crons %v: got %v\n%swant %s", args, err, out, want)
		}
		return out
	}
	must("every 15 minutes, UTC", append([]string{"list"}, at...)...)
	must("cleanup:cleanupOldMessages", append([]string{"list"}, at...)...)
	must("presence is paused: too loud\n", append([]string{"pause", "presence", "--reason", "too loud"}, at...)...)
	must("next      paused: too loud\n", append(append([]string{"show"}, at...), "presence")...)
	must("presence ticks next at 2", append([]string{"resume", "--name", "presence"}, at...)...)

	var shown api.Cron
	out := must(`"name":"heartbeat"`, append([]string{"show", "-o", "json", "heartbeat"}, at...)...)
	if err := json.Unmarshal([]byte(out), &shown); err != nil || !shown.Declared || len(shown.Next) != 3 {
		t.Errorf("got %v, %+v", err, shown)
	}

	// A page whose name was made to resolve to this machine is not let in.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site+"/v1/apps/acme/crons", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusForbidden {
		t.Fatalf("another host: %v, %+v", err, answer)
	}
	answer.Body.Close()

	id := strings.TrimSpace(must("", append([]string{"run", "cleanup"}, at...)...))
	eventually(t, "what was run by hand has succeeded", func() bool {
		return strings.Contains(string(s.mustCall(t, "acme", "jobs:get", fmt.Sprintf(`{"id":%q}`, id))), `"state":"success"`)
	})
	if got := must("", append([]string{"run", "cleanup", "-o", "json"}, at...)...); !strings.HasPrefix(got, `{"jobId":"`) {
		t.Errorf("run -o json: %s", got)
	}

	eventually(t, "the heart beats", func() bool { return string(s.mustCall(t, "acme", "heartbeat:list", "{}")) != "[]" })

	_, err = runs(t, append([]string{"crons", "show", "nothing"}, at...)...)
	if err == nil || err.Error() != `not_found: no trigger "nothing"` || ExitCode(err) != 15 {
		t.Errorf("a trigger that there is not: %v, code %d", err, ExitCode(err))
	}
	s.mustStop(t)
	_, err = runs(t, append([]string{"crons", "list"}, at...)...)
	if want := "unavailable: connection refused: nothing listens at " + site + ": does the server run, and is it the one that --server names?"; err == nil || err.Error() != want || ExitCode(err) != 24 {
		t.Errorf("a server that has stopped: %v, code %d", err, ExitCode(err))
	}
}

// noSuchApp is the error of a verb about one that is not there.
const noSuchApp = `not_found: no such app "acme"; "apps list" lists those that there are`

// TestAdminToken asks a server that has a token.
func TestAdminToken(t *testing.T) {
	s := mustServe(t, t.Context(), t.TempDir(), "--admin-token", "s3cret")
	site, _, _ := strings.Cut(s.url, "/v1/")
	list := func(args ...string) error {
		_, err := runs(t, append([]string{"crons", "list", "--app", "acme", "--server", site}, args...)...)
		return err
	}
	if err := list(); ExitCode(err) != dispatch.CodeUnauthenticated.ExitCode() {
		t.Errorf("without a token: %v", err)
	}
	if err := list("--token", "guess"); ExitCode(err) != dispatch.CodeUnauthenticated.ExitCode() {
		t.Errorf("with another token: %v", err)
	}
	// There is no such app yet: it is told from one that has no triggers.
	if err := list("--token", "s3cret"); err == nil || err.Error() != noSuchApp || ExitCode(err) != 15 {
		t.Errorf("with the token, of no app: %v, code %d", err, ExitCode(err))
	}
	for _, args := range [][]string{{"show", "x"}, {"run", "x"}, {"pause", "x"}, {"resume", "x"}} {
		_, err := runs(t, append([]string{"crons"}, append(args, "--app", "acme", "--server", site, "--token", "s3cret")...)...)
		if err == nil || err.Error() != noSuchApp {
			t.Errorf("%v of no app: %v", args, err)
		}
	}
	s.mustCall(t, "acme", "presence:ping", `{"userId":"ann"}`)
	if err := list("--token", "s3cret"); err != nil {
		t.Errorf("with the token: %v", err)
	}
	t.Setenv(tokenVariable, "s3cret")
	if err := list(); err != nil {
		t.Errorf("with the token of the environment: %v", err)
	}
	if out, err := runs(t, "help", "demo"); err != nil || strings.Contains(out, "s3cret") {
		t.Errorf("help prints the token of the environment: %v, %s", err, out)
	}
	s.mustStop(t)
}

// TestAnotherServer demands plain words from a server that is none of ours.
func TestAnotherServer(t *testing.T) {
	answer := ""
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasPrefix(answer, "{") {
			w.Header().Set("Content-Type", "application/json")
		}
		if strings.Contains(answer, "code") {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer other.Close()
	for _, answer = range []string{"", "<html>", "{}", `{"results":[]}`} {
		_, err := runs(t, "crons", "list", "--app", "acme", "--server", other.URL)
		if err == nil || !strings.Contains(err.Error(), "is it another server?") || ExitCode(err) != 22 {
			t.Errorf("%q: got %v", answer, err)
		}
	}
	answer = `{"code":"not_found","message":"no route \"/v1/apps/acme/crons\""}`
	if _, err := runs(t, "crons", "list", "--app", "acme", "--server", other.URL); err == nil || !strings.Contains(err.Error(), "serves no routes for operators") {
		t.Errorf("a server without admin routes: %v", err)
	}
}

// TestShownSlotsSayWhatFiredMeans: where a slot is shown as fired, it is said that this
// is not what came of the run.
func TestShownSlotsSayWhatFiredMeans(t *testing.T) {
	for outcome, want := range map[storage.SlotOutcome]bool{storage.SlotFired: true, storage.SlotSkipped: false} {
		var out strings.Builder
		showCron(&out, &api.Cron{Name: "t", Slots: []api.CronSlot{{Count: 1, Outcome: api.SlotOutcome(outcome), JobID: "j1"}}})
		if got := strings.Contains(out.String(), "what came of it: jobs show"); got != want {
			t.Errorf("a slot that is %s: %s", outcome, out.String())
		}
	}
}
