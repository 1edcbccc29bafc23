package server_test

import (
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// signedIn is the browser with a session that may do everything.
func (b *browser) signedIn(t *testing.T) {
	t.Helper()
	text, _ := b.token(t, allOperator(), time.Time{})
	b.signIn(t, text)
}

// later schedules a job of the app acme that is due in an hour, and returns its id.
func (b *browser) later(t *testing.T, opts ...dispatch.RunOption) storage.JobID {
	t.Helper()
	id, err := b.h.Scheduler("acme").RunAfter(time.Hour, dispatch.Path("bad:say").With(note{"later"}), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// hiddenField is a field that a page's form sends along.
var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// fields are those that the page's forms send along.
func fields(page string) url.Values {
	form := url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return form
}

// states are those of the jobs.
func (b *browser) states(ids ...storage.JobID) string {
	var all []string
	for _, id := range ids {
		all = append(all, string(b.h.Job("acme", id).State))
	}
	return strings.Join(all, " ")
}

// TestManyJobsAreChangedAsConfirmed: the page that asks says how many jobs a filter chooses, and changes none; its form changes
// those and no others: none that was scheduled since, none of a filter that was lost on the way, and nothing if
// more have come to be as the filter says.
func TestManyJobsAreChangedAsConfirmed(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		const base = "/ui/apps/acme/operations"
		a, bb, other := b.later(t, dispatch.Tags("x y")), b.later(t, dispatch.Tags("x y")), b.later(t)
		list := b.ask("GET", "/ui/apps/acme/jobs?tag=x+y&state=pending&limit=1", nil).Body.String()
		asked := fields(list)
		if asked.Encode() != "state=pending&tag=x+y" || strings.Count(list, `type="checkbox"`) != 1 {
			t.Fatalf("the listing's form sends %v along: %s", asked, list)
		}
		ask := func(with ...string) (page string, form url.Values) {
			t.Helper()
			query := url.Values{"tag": {"x y"}, "state": {"pending"}, "of": {"filter"}, "action": {"cancel"}}
			for i := 0; i < len(with); i += 2 {
				query.Set(with[i], with[i+1])
			}
			w := b.ask("GET", base+"/new?"+query.Encode(), nil)
			if w.Code != 200 {
				t.Fatalf("%v: %d %s", query, w.Code, w.Body)
			}
			return w.Body.String(), fields(w.Body.String())
		}
		page, form := ask()
		if !strings.Contains(page, "Cancel 2 jobs") || form.Get("counted") != "2" || b.states(a, bb, other) != "pending pending pending" {
			t.Fatalf("it asks: %s %s", page, b.states(a, bb, other))
		}
		if strings.Contains(page, "data-live") || !strings.Contains(list, "data-live") {
			t.Errorf("the page that asks moves, or the listing does not: %s", page)
		}
		late := b.later(t, dispatch.Tags("x y"))
		lost := url.Values{"action": form["action"], "of": form["of"], "asOf": form["asOf"], "counted": form["counted"]}
		unknown := url.Values{"colour": {"red"}}
		without := url.Values{}
		for key, values := range form {
			unknown[key] = values
			if key != "asOf" {
				without[key] = values
			}
		}
		for what, form := range map[string]url.Values{"without its filter": lost, "with a condition that is unknown": unknown, "without its moment": without} {
			if w := b.ask("POST", base, form); w.Code != 400 || b.states(a, bb, other, late) != "pending pending pending pending" {
				t.Errorf("%s: %d, the jobs are %s", what, w.Code, b.states(a, bb, other, late))
			}
		}
		if w := b.ask("GET", base+"/new?action=cancel&colour=red", nil); w.Code != 400 {
			t.Errorf("a filter with a condition that is unknown is asked about: %d", w.Code)
		}
		// Another one has come to be as the filter says, that was there when they were counted.
		page, form = ask("priority", "1")
		if !strings.Contains(page, "nothing would be changed") {
			t.Errorf("of none: %s", page)
		}
		if _, err := b.h.Scheduler("acme").Reschedule(a, dispatch.Priority(1)); err != nil {
			t.Fatal(err)
		}
		w := b.ask("POST", base, form)
		if to := w.Header().Get("Location"); w.Code != 303 || !strings.HasPrefix(to, base+"/new?") || !strings.Contains(b.ask("GET", to, nil).Body.String(), "Cancel 1 job<") {
			t.Errorf("more than confirmed: %d %q", w.Code, to)
		} else if again := b.ask("GET", to, nil).Body.String(); !strings.Contains(again, "0 jobs were confirmed") {
			t.Errorf("it does not say that nothing was done: %s", again)
		}
		b.h.Settle()
		if got := b.states(a, bb, other, late); got != "pending pending pending pending" {
			t.Errorf("more than confirmed: the jobs are %s", got)
		}
		_, form = ask()
		last := b.later(t, dispatch.Tags("x y"))
		w = b.ask("POST", base, form)
		to := w.Header().Get("Location")
		b.h.Advance(time.Second)
		if got := b.states(a, bb, late, other, last); w.Code != 303 || !strings.HasPrefix(to, base+"/") || got != "canceled canceled canceled pending pending" {
			t.Errorf("canceled: %d %q, the jobs are %s: %s", w.Code, to, got, w.Body)
		}
		page = b.ask("GET", to, nil).Body.String()
		if !strings.Contains(page, `<progress max="3" value="3"`) || !strings.Contains(page, ">done<") || !strings.Contains(page, "/ui/apps/acme/jobs?state=pending&amp;tag=x&#43;y") {
			t.Errorf("its page: %s", page)
		}
		if page := b.ask("GET", base, nil).Body.String(); !strings.Contains(page, `href="`+to+`"`) || strings.Contains(page, to+"/cancel") {
			t.Errorf("the page of all: %s", page)
		}
		if page := b.ask("GET", base+"?going=true", nil).Body.String(); strings.Contains(page, to) {
			t.Errorf("the page of those that go on: %s", page)
		}
		if w := b.ask("POST", to+"/cancel", nil); w.Code != 400 {
			t.Errorf("one that has ended is canceled: %d", w.Code)
		}
	})
}

// TestAllJobsOfAnAppAreChangedIfThatWasSaid: a filter of no condition but states is all jobs, which the page says.
func TestAllJobsOfAnAppAreChangedIfThatWasSaid(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		id := b.later(t)
		page := b.ask("GET", "/ui/apps/acme/operations/new?of=filter&action=reschedule", nil).Body.String()
		form := fields(page)
		if !strings.Contains(page, "all jobs of the app") || form.Get("all") != "true" || !strings.Contains(page, "Change 1 job<") {
			t.Fatalf("it asks: %s", page)
		}
		if w := b.ask("POST", "/ui/apps/acme/operations", form); w.Code != 400 {
			t.Errorf("to no other instant, and no other priority: %d", w.Code)
		}
		for _, bad := range []url.Values{{"at": {"soon"}}, {"to": {"5"}}, {"to": {"x"}}} {
			for key, values := range form {
				bad[key] = append(bad[key], values...)
			}
			if w := b.ask("POST", "/ui/apps/acme/operations", bad); w.Code != 400 {
				t.Errorf("%v: %d", bad, w.Code)
			}
		}
		form.Set("at", "2030-01-02T03:04")
		form.Set("to", "2")
		w := b.ask("POST", "/ui/apps/acme/operations", form)
		b.h.Advance(time.Second)
		if job := b.h.Job("acme", id); w.Code != 303 || !job.Due.Equal(time.Date(2030, 1, 2, 3, 4, 0, 0, time.UTC)) || job.Priority != 2 {
			t.Errorf("%d, and the job is due %v with priority %d", w.Code, job.Due, job.Priority)
		}
	})
}

// TestOperationsHideWhatTheyWereChosenBy: the text that arguments had to contain is shown to who may see arguments, and
// a filter without it is not offered in its place.
func TestOperationsHideWhatTheyWereChosenBy(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		b.later(t)
		form := fields(b.ask("GET", "/ui/apps/acme/operations/new?action=run&argsContains=late", nil).Body.String())
		form.Set("argsContains", hostile)
		w := b.ask("POST", "/ui/apps/acme/operations", form)
		to := w.Header().Get("Location")
		reads, _ := b.token(t, server.Operator{Name: "bob", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		for _, may := range []bool{true, false} {
			if !may {
				b.signIn(t, reads)
			}
			for _, path := range []string{to, "/ui/apps/acme/operations"} {
				body := b.ask("GET", path, nil).Body.String()
				if shown := strings.Contains(body, "onerror=alert(1)&gt;{{.}}"); shown != may || harmIn(body) != "" {
					t.Errorf("%s shows it: %t, want %t: %s", path, shown, may, body)
				}
				if path == to && strings.Contains(body, "filter chooses now") != may {
					t.Errorf("%s has a link to the jobs, although a part of the filter is hidden, or none: %s", path, body)
				}
			}
		}
	})
}

// TestSelectedJobsAreChangedOneByOne: what was selected is changed and nothing else, up to 100 jobs; those that it could
// not be done to are named.
func TestSelectedJobsAreChangedOneByOne(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		a, bb, other := b.later(t), b.later(t), b.later(t)
		chosen := url.Values{"of": {"selected"}, "action": {"cancel"}, "state": {"pending"}, "job": {string(a), string(bb)}}
		w := b.ask("GET", "/ui/apps/acme/operations/new?"+chosen.Encode(), nil)
		form := fields(w.Body.String())
		if w.Code != 200 || !strings.Contains(w.Body.String(), "Cancel 2 jobs") || form.Encode() != chosen.Encode() {
			t.Fatalf("it asks: %d %v %s", w.Code, form, w.Body)
		}
		if w := b.ask("POST", "/ui/apps/acme/operations", form); w.Code != 303 || w.Header().Get("Location") != "/ui/apps/acme/jobs?state=pending" {
			t.Errorf("canceled: %d %v", w.Code, w.Header())
		}
		if got := b.states(a, bb, other); got != "canceled canceled pending" {
			t.Errorf("the jobs are %s", got)
		}
		form["job"] = []string{string(a), "none", string(other)}
		if w := b.ask("POST", "/ui/apps/acme/operations", form); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "1 of 3 jobs were changed") || strings.Count(w.Body.String(), "<tr><th scope=\"row\">") != 2 || b.states(other) != "canceled" {
			t.Errorf("some of them: %d %s", w.Code, w.Body)
		}
		id := b.later(t)
		form = url.Values{"of": {"selected"}, "action": {"reschedule"}, "job": {string(id)}, "to": {"1"}, "at": {"2030-01-02T03:04:05.5"}}
		if w := b.ask("POST", "/ui/apps/acme/operations", form); w.Code != 303 || b.h.Job("acme", id).Priority != 1 || !b.h.Job("acme", id).Due.Equal(time.Date(2030, 1, 2, 3, 4, 5, 5e8, time.UTC)) {
			t.Errorf("rescheduled: %d, %+v", w.Code, b.h.Job("acme", id))
		}
		for action, job := range map[string][]string{"cancel": nil, "drop": slices.Repeat([]string{"x"}, 101), "pause": {string(id)}, "": {string(id)}} {
			form := url.Values{"of": {"selected"}, "action": {action}, "job": job}
			if w := b.ask("POST", "/ui/apps/acme/operations", form); w.Code != 400 {
				t.Errorf("%s of %d: %d %s", action, len(job), w.Code, w.Body)
			}
			if w := b.ask("GET", "/ui/apps/acme/operations/new?"+form.Encode(), nil); w.Code != 400 {
				t.Errorf("it asks about %s of %d: %d", action, len(job), w.Code)
			}
		}
		if w := b.ask("GET", "/ui/apps/acme/operations/new?"+url.Values{"of": {"selected"}, "action": {"drop"}, "job": slices.Repeat([]string{"x"}, 100)}.Encode(), nil); w.Code != 200 || strings.Count(w.Body.String(), ">gone<") != 100 {
			t.Errorf("it asks about 100: %d", w.Code)
		}
		reads, _ := b.token(t, server.Operator{Name: "bob", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		b.signIn(t, reads)
		if w := b.ask("POST", "/ui/apps/acme/operations", url.Values{"of": {"selected"}, "action": {"cancel"}, "job": {string(id)}}); w.Code != 403 || b.states(id) != "pending" {
			t.Errorf("by one who may only read: %d", w.Code)
		}
		if body := b.ask("GET", "/ui/apps/acme/jobs", nil).Body.String(); strings.Contains(body, "operations/new") || strings.Contains(body, "checkbox") {
			t.Errorf("it is offered to one who may only read: %s", body)
		}
	})
}

// TestListedJobsAreThoseChanged: every parameter of a listing that chooses jobs is one of the filter of a change,
// and both choose the same.
func TestListedJobsAreThoseChanged(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		b.later(t, dispatch.Tags("a"), dispatch.Priority(2))
		b.later(t, dispatch.Priority(1), dispatch.Unique("u", dispatch.Keep()))
		for _, key := range server.FilterKeys() {
			paging := slices.Contains([]string{"limit", "cursor", "count", "desc"}, key)
			body := b.ask("GET", "/ui/apps/acme/operations/new?action=cancel&"+key+"=1", nil).Body.String()
			if unknown := strings.Contains(body, "is no parameter of a filter"); unknown != paging {
				t.Errorf("a change knows the parameter %s of a listing: %t: %s", key, !unknown, body)
			}
		}
		due := b.h.Now().Add(30 * time.Minute).UTC()
		for query, want := range map[string]int{
			"tag=a": 1, "priority=1": 1, "function=bad:say": 2, "function=other": 0, "error=internal": 0, "pool=mail": 0, "poolKey=x&pool=mail": 0, "uniqueKey=u": 1, "uniqueKey=v": 0, "trigger=t": 0,
			"group=3": 0, "parent=x": 0, "id=x": 0, "idContains=zzzzzzzz": 0, "argsContains=later": 2, "argsContains=none": 0,
			"dueFrom=" + due.Format("2006-01-02T15:04"): 2, "dueBefore=" + url.QueryEscape(due.Format(time.RFC3339)): 0,
			"endedFrom=2001-01-01T00:00:00Z": 0, "endedBefore=2001-01-01T00:00": 0,
		} {
			query += "&state=pending"
			list, change := b.ask("GET", "/ui/apps/acme/jobs?"+query, nil), b.ask("GET", "/ui/apps/acme/operations/new?action=cancel&"+query, nil)
			if n := strings.Count(list.Body.String(), `type="checkbox"`); list.Code != 200 || n != want {
				t.Errorf("%s lists %d with %d, want %d: %s", query, n, list.Code, want, list.Body)
			}
			if said := fmt.Sprintf(`name="counted" value="%d"`, want); change.Code != 200 || !strings.Contains(change.Body.String(), said) {
				t.Errorf("%s would change others than %d: %d %s", query, want, change.Code, change.Body)
			}
		}
	})
}

// TestJobPageActs: the forms of a job's page reschedule it, drop it and cancel what has come of it as the rows of the JSON API do.
func TestJobPageActs(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		id := b.later(t)
		at := "/ui/apps/acme/jobs/" + string(id)
		page := b.ask("GET", at, nil).Body.String()
		if !strings.Contains(page, at+"/reschedule") || strings.Contains(page, at+"/drop") || strings.Contains(page, at+"/abandon") || !strings.Contains(page, "carillon jobs get") {
			t.Errorf("the page of a job that is not due: %s", page)
		}
		if cookie := strings.Split(b.cookie, "=")[1]; strings.Contains(page, cookie) || strings.Contains(page, "Bearer carillon") {
			t.Errorf("its page has a secret: %s", page)
		}
		for _, step := range []struct {
			form string
			with url.Values
			code int
		}{
			{"reschedule", url.Values{"at": {"2030-01-02T03:04"}, "to": {""}}, 303},
			{"reschedule", url.Values{"at": {""}, "to": {"1"}}, 303},
			{"reschedule", url.Values{"at": {"soon"}, "to": {"1"}}, 400},
			{"reschedule", url.Values{"to": {"9"}}, 400},
			{"abandon", nil, 400},
			{"drop", nil, 400},
		} {
			w := b.ask("POST", at+"/"+step.form, step.with)
			if job := b.h.Job("acme", id); w.Code != step.code || !job.Due.Equal(time.Date(2030, 1, 2, 3, 4, 0, 0, time.UTC)) {
				t.Errorf("%s with %v: %d, and the job is due %v: %s", step.form, step.with, w.Code, job.Due, w.Body)
			}
		}
		if job := b.h.Job("acme", id); job.Priority != 1 {
			t.Errorf("its priority is %d", job.Priority)
		}
		at = "/ui/apps/acme/jobs/" + b.job
		if page := b.ask("GET", at, nil).Body.String(); !strings.Contains(page, at+"/drop") || strings.Contains(page, at+"/reschedule") {
			t.Errorf("the page of one that has failed: %s", page)
		}
		if w := b.ask("POST", at+"/drop", nil); w.Code != 303 || w.Header().Get("Location") != "/ui/apps/acme/jobs" || b.ask("GET", at, nil).Code != 404 {
			t.Errorf("dropped: %d %v", w.Code, w.Header())
		}
	})
}

// branch is how many jobs one schedules, in how many generations.
type branch struct {
	Width       int `json:"width"`
	Generations int `json:"generations"`
}

// TestJobPageShowsTheTree: the page of a job has what it came of and what came of it, up to three generations and 40 jobs,
// and says where there are more.
func TestJobPageShowsTheTree(t *testing.T) {
	reg := dispatch.NewRegistry()
	grow := dispatch.InternalMutation[branch, dispatch.None]("tree:grow")
	grow.Handle(reg, func(ctx *dispatch.MutationCtx, n branch) (none dispatch.None, err error) {
		for range n.Width {
			due := time.Duration(0)
			if n.Generations == 1 {
				due = time.Hour
			}
			if n.Generations > 0 {
				if _, err := ctx.Scheduler.RunAfter(due, grow.With(branch{n.Width, n.Generations - 1})); err != nil {
					return none, err
				}
			}
		}
		return none, nil
	})
	work := dispatch.InternalAction[dispatch.None, dispatch.None]("tree:work")
	work.Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (none dispatch.None, err error) {
		ctx.Progress(3, 10, "")
		<-ctx.Done()
		return none, ctx.Err()
	})
	actorstest.Run(t, actors.Options{Functions: reg, Logger: slog.New(slog.DiscardHandler)}, func(h *actorstest.Harness) {
		t, b := h.TB().(*testing.T), &browser{h: h}
		b.mount()
		run := func(n branch) (root string) {
			id, err := h.Scheduler("acme").RunAfter(0, grow.With(n))
			if err != nil {
				t.Fatal(err)
			}
			h.Advance(time.Second)
			return string(id)
		}
		run(branch{0, 0})
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		child := func(id string) string {
			t.Helper()
			page := b.ask("GET", "/v1/apps/acme/jobs?parent="+id, nil, "Authorization", "Bearer "+text).Body.String()
			found := regexp.MustCompile(`"id":"([^"]*)"`).FindStringSubmatch(page)
			if found == nil {
				t.Fatalf("job %s has no child: %s", id, page)
			}
			return found[1]
		}
		tree := func(id string) (jobs, more int) {
			page := b.ask("GET", "/ui/apps/acme/jobs/"+id, nil).Body.String()
			_, tree, _ := strings.Cut(page, `<ul class="tree">`)
			tree, _, _ = strings.Cut(tree, "</section>")
			return strings.Count(tree, `<span class="state`), strings.Count(tree, "All that it has scheduled")
		}
		alone := run(branch{0, 0})
		if jobs, _ := tree(alone); jobs != 0 {
			t.Errorf("a job that stands alone has a tree of %d", jobs)
		}
		deep := run(branch{1, 6}) // seven in a row
		if jobs, more := tree(deep); jobs != 4 || more != 1 {
			t.Errorf("the first of a row of 7 has %d and %d more, want itself and 3, and more", jobs, more)
		}
		if jobs, more := tree(child(child(deep))); jobs != 6 || more != 1 {
			t.Errorf("the third of a row of 7 has %d and %d more, want 2 before, itself and 3, and more", jobs, more)
		}
		b.has(t, "/ui/apps/acme/jobs/"+deep, "by a call, an operator or the program")
		b.has(t, "/ui/apps/acme/jobs/"+child(deep), `by the job <a href="/ui/apps/acme/jobs/`+deep+`">`)
		wide := run(branch{6, 2}) // 1 + 6 + 36, of which 43 are shown up to 40
		if jobs, more := tree(wide); jobs != 40 || more != 1 {
			t.Errorf("of 43 there are %d, with %d that have more, want 40 and 1", jobs, more)
		}
		if jobs, more := tree(run(branch{21, 1})); jobs != 21 || more != 1 {
			t.Errorf("of 22 there are %d, with %d that have more, want 21, as a job tells 20 of its children, and 1", jobs, more)
		}
		page := b.ask("POST", "/ui/apps/acme/jobs/"+wide+"/cancel", url.Values{"cascade": {"true"}})
		left := len(h.Jobs("acme", storage.StatePending))
		if page.Code != 303 || left != 1+21 {
			t.Errorf("canceled with what has come of it: %d, and %d of other trees are left, want 22", page.Code, left)
		}
		id, err := h.Scheduler("acme").RunAfter(0, dispatch.Path("tree:work").With(dispatch.None{}))
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Second)
		if page := b.ask("GET", "/ui/apps/acme/jobs/"+string(id), nil).Body.String(); !strings.Contains(page, `<progress max="10" value="3"`) || !strings.Contains(page, "3 of 10") {
			t.Errorf("the page of a job that runs: %s", page)
		}
	})
}

// TestAppIsExportedAndDeleted: an app is saved as the file that an import reads, by operators with the scope admin, and deleted if its
// name was typed.
func TestAppIsExportedAndDeleted(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		writes, _ := b.token(t, server.Operator{Name: "bob", AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeWrite}}, time.Time{})
		b.signIn(t, writes)
		if page := b.ask("GET", "/ui/apps/acme", nil).Body.String(); strings.Contains(page, "/export") || strings.Contains(page, "/delete") {
			t.Errorf("export and delete are offered to one who may not: %s", page)
		}
		if w := b.ask("GET", "/ui/apps/acme/export", nil); w.Code != 403 || w.Header().Get("Content-Disposition") != "" || !strings.Contains(w.Body.String(), "<h1>") {
			t.Errorf("an export by one who may not: %d %v", w.Code, w.Header())
		}
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		if page := b.ask("GET", "/ui/apps/acme", nil).Body.String(); !strings.Contains(page, `href="/ui/apps/acme/export"`) || !strings.Contains(page, `action="/ui/apps/acme/delete"`) {
			t.Errorf("export and delete are not offered: %s", page)
		}
		if w := b.ask("GET", "/ui/apps/none/export", nil); w.Code != 404 || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("an app that is not there: %d %v", w.Code, w.Header())
		}
		saved := b.ask("GET", "/ui/apps/acme/export", nil)
		if h := saved.Header(); saved.Code != 200 || h.Get("Content-Disposition") != "attachment; filename=acme.carillon" || h.Get("Content-Type") != "application/octet-stream" || h.Get("Content-Security-Policy") == "" {
			t.Errorf("exported: %d %v", saved.Code, h)
		}
		if err := b.h.Engine.Import(b.h.Context(), "copy", saved.Body); err != nil {
			t.Errorf("what was saved is no export: %v", err)
		}
		if page, err := b.h.Engine.AuditLog(storage.AuditFilter{Apps: []storage.AppID{"acme"}}); err != nil || len(page.Entries) == 0 || page.Entries[0].Action != "GET export" {
			t.Errorf("the audit log has %+v, %v", page.Entries, err)
		}
		for _, name := range []string{"", "Acme", "acme ", "copy"} {
			if w := b.ask("POST", "/ui/apps/acme/delete", url.Values{"name": {name}}); w.Code != 400 || b.ask("GET", "/ui/apps/acme", nil).Code != 200 {
				t.Errorf("deleted by the name %q: %d", name, w.Code)
			}
		}
		if w := b.ask("POST", "/ui/apps/acme/delete", url.Values{"name": {"acme"}}); w.Code != 303 || w.Header().Get("Location") != "/ui/apps" || b.ask("GET", "/ui/apps/acme", nil).Code != 404 {
			t.Errorf("deleted: %d %v", w.Code, w.Header())
		}
	})
}

// TestAJobsPageHasWhatIsItsOwn: options that a job has of its own are on its page, and in the commands that schedule such a
// job once more.
func TestAJobsPageHasWhatIsItsOwn(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		id, err := b.h.Scheduler("acme").RunAfter(time.Hour, dispatch.Path("bad:hang").With(dispatch.None{}),
			dispatch.Timeout(90*time.Second), dispatch.AtMostOnce(), dispatch.NotAfter(b.h.Engine.Clock().Wall.Add(2*time.Hour)),
			dispatch.OnDone(dispatch.Path("bad:say").With(note{"then"})))
		if err != nil {
			t.Fatal(err)
		}
		b.has(t, "/ui/apps/acme/jobs/"+string(id), "Not begun after", "Time for an attempt", "At most once", "<code>bad:say</code>", ", without what follows it", "--at-most-once", "anonymous", "!Retries of its own")
		b.has(t, "/ui/apps/acme/jobs/"+string(b.later(t, dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Minute}))), "Retries of its own", "3 attempts, exponential back-off", "maxAttempts", "!carillon jobs schedule", "!At most once", "!without what follows it")
	})
}
