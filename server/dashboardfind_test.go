package server_test

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// TestJumpFindsJobsAndApps: the name of an app leads to it, an id to the job, or to all that have it; one who has one app
// finds nothing of others.
func TestJumpFindsJobsAndApps(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		jump := func(to string) string { return "/ui/jump?" + url.Values{"to": {to}}.Encode() }
		leads := func(to, page string) {
			t.Helper()
			if w := b.ask("GET", jump(to), nil); w.Code != 303 || w.Header().Get("Location") != page {
				t.Errorf("%s leads to %q (%d), want %s", to, w.Header().Get("Location"), w.Code, page)
			}
		}
		for _, app := range []storage.AppID{"other", "third"} {
			for _, id := range []string{"mine-" + string(app), "both"} {
				if _, err := b.h.App(app).Scheduler(b.h.Context()).RunAfter(time.Hour, dispatch.Path("bad:say").With(note{"x"}), dispatch.ID(storage.JobID(id))); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.signInAs(t, server.ScopeRead)
		leads("acme", "/ui/apps/acme")
		leads(b.job, "/ui/apps/acme/jobs/"+b.job)
		leads("mine-third", "/ui/apps/third/jobs/mine-third")
		b.has(t, jump("both"), "/ui/apps/other/jobs/both", "/ui/apps/third/jobs/both", "3 apps were looked at")
		b.has(t, jump("none"), "no job the id <code>none</code>", "3 apps")
		b.has(t, "/ui/jump", "The id of a job", "!looked at")
		b.has(t, jump(hostile), "no job the id")
		text, _ := b.token(t, server.Operator{Name: "bob", Apps: []storage.AppID{"other"}, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		b.signIn(t, text)
		leads("both", "/ui/apps/other/jobs/both")
		b.has(t, jump(b.job), "no job the id", "1 app was looked at")
		b.has(t, jump("acme"), "No app has the name")
	})
}

// TestAJumpLooksForSomeTime: through the apps behind its cursor, and says where it goes on.
func TestAJumpLooksForSomeTime(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		for i := range 5 {
			if _, err := b.h.App(storage.AppID(fmt.Sprint("b", i))).Scheduler(b.h.Context()).RunAfter(time.Hour, dispatch.Path("bad:say").With(note{"x"}), dispatch.ID("deep")); err != nil {
				t.Fatal(err)
			}
		}
		b.signInAs(t, server.ScopeRead)
		b.has(t, "/ui/jump?cursor=b2&to=deep", "!/ui/apps/b2/", "/ui/apps/b3/jobs/deep", "/ui/apps/b4/jobs/deep", "2 apps were looked at", "!Look on")
		b.has(t, "/ui/jump?cursor=b3&to=deep", "/ui/apps/b4/jobs/deep") // and goes nowhere: others may have come before
	})
}

// TestTheAuditLogIsShown: what was changed, the latest first, by the filter of the address; hostile text does no harm.
func TestTheAuditLogIsShown(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		b.has(t, "/ui/audit", "Operators have changed nothing yet.")
		b.mustGo(t, "/ui/apps/acme/pause", "/ui/apps/acme", url.Values{"reason": {hostile}})
		b.mustGo(t, "/ui/apps/acme/pools/mail/limit", "/ui/apps/acme/pools", url.Values{"limit": {"7"}})
		b.has(t, "/ui/audit", "POST pause", `href="/ui/apps/acme"`, "PUT pools/{pool}/limit", "mail")
		b.has(t, "/ui/audit?app=acme", "POST pause", "PUT pools/{pool}/limit")
		b.has(t, "/ui/audit?app=other", "!POST pause")
		b.has(t, "/ui/audit?operator=nobody", "No entry is as the filter says.", "!POST pause")
		b.has(t, "/ui/audit?limit=1", "Next page", "PUT pools/{pool}/limit", "!POST pause")
		for _, bad := range []string{"?from=yesterday", "?limit=x", "?other=1", "?app=a&app=b"} {
			if w := b.ask("GET", "/ui/audit"+bad, nil); w.Code != 400 {
				t.Errorf("%s: %d %s", bad, w.Code, w.Body)
			}
		}
		b.signInAs(t, server.ScopeRead)
		if w := b.ask("GET", "/ui/", nil); strings.Contains(w.Body.String(), `href="/ui/audit"`) {
			t.Error("the page is offered to one who may not see it")
		}
	})
}

// TestRatesOfFunctionsAreForOperatorsOfAllApps: they are of all apps.
func TestRatesOfFunctionsAreForOperatorsOfAllApps(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.ScopeRead)
		b.has(t, "/ui/apps/acme/functions", "p99", "100.0 %")
		b.has(t, "/ui/apps/acme/functions/bad:say", "Errors a second", "Runs since the start")
		text, _ := b.token(t, server.Operator{Name: "bob", Apps: []storage.AppID{"acme"}, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		b.signIn(t, text)
		b.has(t, "/ui/apps/acme/functions", "bad:say", "!p99", "!100.0 %")
		b.has(t, "/ui/apps/acme/functions/bad:say", "!Errors a second")
	})
}

// TestTheOverviewSaysWhatIsHeldUp: the job that has been due the longest, and why it does not run.
func TestTheOverviewSaysWhatIsHeldUp(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.ScopeRead)
		b.has(t, "/ui/", "!Held up", "!operators of all apps")
		if err := b.h.Scheduler("acme").Pause(dispatch.OfFunction("bad:say"), "", ""); err != nil {
			t.Fatal(err)
		}
		for _, id := range []storage.JobID{"first", "second"} {
			if _, err := b.h.Scheduler("acme").RunAfter(time.Second, dispatch.Path("bad:say").With(note{"x"}), dispatch.ID(id)); err != nil {
				t.Fatal(err)
			}
			b.h.Advance(500 * time.Millisecond)
		}
		b.has(t, "/ui/", "Held up", "function <code>bad:say</code>", "It is paused.", "!/ui/apps/acme/jobs/first")
		b.h.Advance(time.Minute)
		b.has(t, "/ui/", "/ui/apps/acme/jobs/first", "!jobs/second", "The app, its function or its pool is paused.")
		if err := b.h.Scheduler("acme").Pause(dispatch.OfApp(), "ann", hostile); err != nil {
			t.Fatal(err)
		}
		b.has(t, "/ui/", "It is paused by ann", "!print")
		for range 3 {
			if _, err := b.h.Scheduler("busy").RunAfter(0, dispatch.Path("bad:hang").With(dispatch.None{})); err != nil {
				t.Fatal(err)
			}
			b.h.Advance(time.Millisecond)
		}
		b.has(t, "/ui/", `href="/ui/apps/busy/pools">pool <code>mail</code>`, "It is full: 2 of 2 run, and 1 wait.", "All permits of its pool are taken.")
		text, _ := b.token(t, server.Operator{Name: "bob", Apps: []storage.AppID{"other"}, Scopes: server.Scopes()}, time.Time{})
		b.signIn(t, text)
		b.has(t, "/ui/", "!Held up", "!bad:say")
	})
}

// TestChartsAreOfTheOperatorsApps: the overview of an operator of some apps has the last hour of those and of no other, and so has the
// page of an app; the JSON API has it of an app if it is asked for.
func TestChartsAreOfTheOperatorsApps(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		for app, jobs := range map[storage.AppID]int{"acme": 89, "other": 30} {
			for range jobs {
				if _, err := b.h.Scheduler(app).RunAfter(0, dispatch.Path("bad:say").With(note{"x"})); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.h.Advance(3 * time.Minute)
		text, _ := b.token(t, server.Operator{Name: "bob", Apps: []storage.AppID{"acme"}, Scopes: server.Scopes()}, time.Time{})
		b.signIn(t, text)
		for _, path := range []string{"/ui/", "/ui/apps/acme"} {
			b.has(t, path, "The last hour", "Jobs per second", "Lateness", "longest", `<td class="num">1.5</td><td class="num">1.5</td><td class="num">1.5</td>`, "!Commits", "!with the most to do.</p>\n{{")
		}
		var apps []storage.AppID
		for i := range 21 {
			apps = append(apps, storage.AppID(fmt.Sprint("many-", i)))
			if err := b.h.Engine.Create(b.h.Context(), apps[i]); err != nil {
				t.Fatal(err)
			}
		}
		text, _ = b.token(t, server.Operator{Name: "tom", Apps: append(apps, "acme", "other"), Scopes: server.Scopes()}, time.Time{})
		b.signIn(t, text)
		b.has(t, "/ui/", "The charts are of the 20 apps with the most to do.")
		for query, want := range map[string]string{"": "", "?history=false": "", "?history=true": `"begun":90,"ended":90,"failed":90,"lateMs":0,"maxLateMs":0}`, "?history=yes": "history is"} {
			w := b.ask("GET", "/v1/apps/acme"+query, nil, "Authorization", "Bearer "+text)
			if body := w.Body.String(); strings.Contains(body, `"begun"`) != (query == "?history=true") || !strings.Contains(body, want) || (w.Code == 400) != (query == "?history=yes") {
				t.Errorf("%q: %d %s", query, w.Code, body)
			}
		}
	})
}

// TestTheLatestFailuresAreShown: of an app with more failures than a page shows, the latest, at first; and so does a list of jobs
// that is asked for from its end, page by page.
func TestTheLatestFailuresAreShown(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		for i := range 15 {
			if _, err := b.h.Scheduler("acme").RunAfter(0, dispatch.Path("bad:say").With(note{fmt.Sprintf("failure %02d.", i)}), dispatch.ID(storage.JobID(fmt.Sprint("f", i)))); err != nil {
				t.Fatal(err)
			}
			b.h.Advance(time.Minute)
		}
		b.has(t, "/ui/", "failure 14.", "1 min ago", "!failure 00.")
		page := b.ask("GET", "/ui/apps/acme", nil).Body.String()
		if first, last := strings.Index(page, "failure 14."), strings.Index(page, "failure 05."); first < 0 || last < first || strings.Contains(page, "failure 04.") {
			t.Errorf("the page of the app has %s", page)
		}
		b.has(t, "/ui/apps/acme/jobs?state=failed&desc=true&limit=3", "failure 14.", "failure 12.", "!failure 11.", "selected>latest first")
		next := regexp.MustCompile(`href="(\?[^"]*cursor=[^"]*)"`).FindStringSubmatch(b.ask("GET", "/ui/apps/acme/jobs?state=failed&desc=true&limit=3", nil).Body.String())
		if next == nil {
			t.Fatal("it has no next page")
		}
		b.has(t, "/ui/apps/acme/jobs"+html.UnescapeString(next[1]), "failure 11.", "failure 09.", "!failure 12.", "!failure 08.")
	})
}

// TestAppsAreListedWithWhatIsDue: and with what runs in them and their bytes, without waking one.
func TestAppsAreListedWithWhatIsDue(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.ScopeRead)
		if _, err := b.h.Scheduler("busy").RunAfter(0, dispatch.Path("bad:hang").With(dispatch.None{})); err != nil {
			t.Fatal(err)
		}
		if _, err := b.h.Scheduler("sleepy").RunAfter(3*time.Hour, dispatch.Path("bad:say").With(note{strings.Repeat("x", 3000)})); err != nil {
			t.Fatal(err)
		}
		b.h.Advance(time.Minute)
		row := func(name string) string {
			_, row, _ := strings.Cut(b.ask("GET", "/ui/apps", nil).Body.String(), `">`+name+`</a>`)
			row, _, _ = strings.Cut(row, "</tr>")
			return row
		}
		if busy := row("busy"); !strings.Contains(busy, `<td class="num">1</td><td class="num">1</td>`) {
			t.Errorf("busy: %s", busy)
		}
		if sleepy := row("sleepy"); !strings.Contains(sleepy, ">in 2 h<") || !strings.Contains(sleepy, "2.9 KiB") {
			t.Errorf("sleepy: %s", sleepy)
		}
		if in := b.h.Inspect("sleepy"); !in.Asleep {
			t.Error("the list has waked it")
		}
	})
}

// TestAJobSaysHowLateItWasAndWhatIsToCome: when its next attempt is due, and how much later than that its last one began.
func TestAJobSaysHowLateItWasAndWhatIsToCome(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		const at, due = "/ui/apps/acme/jobs/late", `<th scope="row">due</th><td class="num">1</td>`
		if err := b.h.Scheduler("acme").Pause(dispatch.OfFunction("bad:say"), "", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := b.h.Scheduler("acme").RunAfter(time.Second, dispatch.Path("bad:say").With(note{"x"}), dispatch.ID("late")); err != nil {
			t.Fatal(err)
		}
		b.has(t, at, due, "!s late")
		if _, err := b.h.Scheduler("acme").RunAfter(time.Hour, dispatch.Path("bad:say").With(note{"x"}), dispatch.ID("tried")); err != nil {
			t.Fatal(err)
		}
		b.has(t, "/ui/apps/acme/jobs/tried", due, `due</th><td class="num">6</td><td><span class="dim">if those before it fail at once`, `!<td class="num">7</td>`)
		b.h.Advance(61 * time.Second)
		if _, err := b.h.Scheduler("acme").Resume(dispatch.OfFunction("bad:say")); err != nil {
			t.Fatal(err)
		}
		b.h.Advance(time.Second)
		b.has(t, at, "1 min late", "!"+due)
		b.h.Advance(time.Hour)
		if _, err := b.h.Scheduler("acme").RetryMany(storage.JobFilter{ID: "late"}); err != nil {
			t.Fatal(err)
		}
		b.h.Settle() // the other attempt is in time
		b.has(t, at, `<th scope="row">begun</th><td class="num">1</td><td>1 min late`, `<th scope="row">begun</th><td class="num">1</td><td></td>`)
		b.has(t, "/ui/apps/acme/jobs/"+b.job, "! late", "!"+due)
	})
}
