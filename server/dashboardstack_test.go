package server_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
)

// placed is an error that says where it comes from, in words that do harm where they are not escaped.
type placed struct{}

func (placed) Error() string      { return "the cause " + hostile }
func (placed) StackTrace() string { return "the place " + hostile + "\n\tbells.go:40" }

// TestCauseAndStackAreShown: the page of a job and the API tell what each attempt has failed of, and where that was, which
// a page folds without a script; it is text, and for operators with read-args.
func TestCauseAndStackAreShown(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		id, err := b.h.Scheduler("acme").RunAfter(0, dispatch.InternalMutation[note, dispatch.None]("bad:say").With(note{"somewhere"}))
		if err != nil {
			t.Fatal(err)
		}
		b.h.Advance(time.Second)
		reads, _ := b.token(t, server.Operator{Name: "bob", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		all, _ := b.token(t, allOperator(), time.Time{})
		for _, token := range []string{all, reads} {
			may := token == all
			b.signIn(t, token)
			body := b.ask("GET", "/ui/apps/acme/jobs/"+string(id), nil).Body.String()
			if harm := harmIn(body); harm != "" {
				t.Errorf("the page has %q", harm)
			}
			causes := strings.Count(body, "the cause &#34;&#39;&gt;&lt;script&gt;")
			stack := strings.Contains(body, `<details><summary>Stack</summary><pre tabindex="0">the place &#34;&#39;&gt;&lt;script&gt;`) && strings.Contains(body, "{{.}}\n\tbells.go:40</pre></details>")
			if may && (causes != 2 || !stack) || !may && (strings.Contains(body, "the cause") || strings.Contains(body, "the place")) || strings.Contains(body, "<h2>Log</h2>") {
				t.Errorf("may read arguments %t: the page is %s", may, body)
			}
			w := b.ask("GET", "/v1/apps/acme/jobs/"+string(id), nil, "Authorization", "Bearer "+token)
			var answer struct{ Result api.Job }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Result.JobDetail == nil {
				t.Fatal(err, w.Body)
			}
			job := answer.Result
			if !may {
				if strings.Contains(w.Body.String(), "the place") || len(job.Logs) != 0 || !strings.Contains(w.Body.String(), `"logs"`) {
					t.Errorf("the API tells an operator who may not read arguments %s", w.Body)
				}
				continue
			}
			want := api.AttemptLog{Attempt: 1, Lines: []api.LogLine{}, Cause: placed{}.Error(), Stack: placed{}.StackTrace()}
			if got, _ := json.Marshal(job.Logs); string(got) != "["+string(mustJSON(t, want))+"]" || job.Error.Message != "internal error" {
				t.Errorf("the API tells %s", w.Body)
			}
		}
	})
}
