package browser

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"carillon/server/api"
)

// later schedules a job of quiet for the next hour, and returns its address and id.
func later(t *testing.T) (address, id string) {
	t.Helper()
	at := time.Now().Add(time.Hour)
	made, err := site.API.App("quiet").Schedule(context.Background(), api.JobRequest{Function: "orders:place", At: &at}, order{ID: "Q-1"})
	if err != nil {
		t.Fatal(err)
	}
	return "/ui/apps/quiet/jobs/" + made.JobID, made.JobID
}

// is says that a job is in the state.
func is(state api.State) func(api.Job) bool { return func(j api.Job) bool { return j.State == state } }

func TestSignInAndOut(t *testing.T) {
	b := open(t)
	b.signIn("/ui/apps?contains=ba", "crl_wrong")
	b.has("main", "Sign in")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), site.Token))
	b.follow(".signin button")
	b.has("h1", "Apps")
	if search := value[string](b, "location.search"); search != "?contains=ba" {
		t.Errorf("signed in at %q, and not where the link led to", search)
	}
	b.follow(".who button")
	b.has("h1", "Sign in")
	b.see("/ui/apps")
	b.has("h1", "Sign in")
}

func TestARevokedTokenEndsItsSession(t *testing.T) {
	token, err := site.API.CreateToken(context.Background(), api.NewToken{Name: "guest", AllApps: true, Scopes: []api.Scope{"read"}})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t)
	b.signIn("/ui/apps", token.Token)
	b.has("h1", "Apps")
	b.see("/ui/apps/quiet")
	if n := value[int](b, `document.querySelectorAll("main form[method=post]").length`); n != 0 {
		t.Errorf("one who only reads is shown %d forms", n)
	}
	if err := site.API.RevokeToken(context.Background(), token.ID); err != nil {
		t.Fatal(err)
	}
	b.see("/ui/apps")
	b.has("main", "Your session is over")
}

func TestFiltersAreInTheAddress(t *testing.T) {
	b := open(t)
	b.in()
	b.see("/ui/apps/acme/jobs")
	b.do(chromedp.SetValue(chromedp.CSS("#state"), "failed"), chromedp.SendKeys(chromedp.CSS("#argsContains"), "expired"))
	b.follow(".filters button.primary")
	if got := value[[]string](b, `["state", "argsContains"].map(k => new URLSearchParams(location.search).get(k))`); got[0] != "failed" || got[1] != "expired" {
		t.Errorf("the address has %q", got)
	}
	if n := value[int](b, `document.querySelectorAll("tbody tr").length`); n != 1 {
		t.Errorf("%d jobs are shown, want 1", n)
	}
	where := value[string](b, "location.pathname + location.search")
	other := open(t)
	other.signIn(where, site.Token) // a link that was sent to a colleague
	other.has("tbody", "declined")
	other.do(chromedp.NavigateBack())

	b.follow("tbody a")
	b.follow(`dd a[href*="uniqueKey="]`)
	if key, n := value[string](b, `new URLSearchParams(location.search).get("uniqueKey")`), value[int](b, `document.querySelectorAll("tbody tr").length`); key != "card expired" || n != 1 {
		t.Errorf("of the unique key %q %d jobs are shown, want 1", key, n)
	}
	b.has("main", "Unique key")
}

func TestActions(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			b, app := open(t), site.API.App("quiet")
			if !scripts {
				b.noScripts()
			}
			b.in()
			address, id := later(t)
			b.see(address)
			b.has(".badges", "pending")
			b.press("Run now")
			until(t, app, id, is(api.StateSuccess))
			b.see(address)
			b.has(".badges", "success")

			address, _ = later(t)
			b.see(address)
			b.press("Cancel the job")
			b.has(".badges", "canceled")

			failed, err := app.Schedule(context.Background(), api.JobRequest{Function: "billing:charge"}, order{ID: "Q-2"})
			if err != nil {
				t.Fatal(err)
			}
			var ended time.Time
			until(t, app, failed.JobID, func(j api.Job) bool {
				if j.EndedAt != nil {
					ended = *j.EndedAt
				}
				return j.State == api.StateFailed
			})
			b.see("/ui/apps/quiet/jobs/" + failed.JobID)
			b.press("Retry")
			until(t, app, failed.JobID, func(j api.Job) bool { return j.State == api.StateFailed && j.EndedAt.After(ended) })
			b.see("/ui/apps/quiet/jobs/" + failed.JobID)
			b.has(".badges", "failed")

			b.see("/ui/apps/quiet")
			b.do(chromedp.SendKeys(chromedp.CSS("#reason"), "holidays"))
			b.press("Pause the app")
			b.has(".badges", "paused")
			b.has("main", "holidays")
			b.press("Resume the app")
			b.has(".badges", "open")
		})
	}
}

// TestTheStackOfAPanicIsUnfolded: the page of a job says what an attempt has panicked with, and where when asked, without a
// script, too.
func TestTheStackOfAPanicIsUnfolded(t *testing.T) {
	b, app := open(t), site.API.App("quiet")
	b.noScripts()
	b.in()
	job, err := app.Schedule(context.Background(), api.JobRequest{Function: "billing:charge", JobOptions: api.JobOptions{Retry: &api.RetryRequest{MaxAttempts: new(1), BaseMs: new(int64(0))}}}, order{ID: "P-1"})
	if err != nil {
		t.Fatal(err)
	}
	until(t, app, job.JobID, is(api.StateFailed))
	b.see("/ui/apps/quiet/jobs/" + job.JobID)
	b.has("td .cause", "panic: "+hostile)
	if got := b.text("td details"); got != "Stack" {
		t.Errorf("before it is unfolded it shows %q", got)
	}
	b.do(chromedp.Click(chromedp.CSS("td summary")))
	b.has("td details pre", "program_test.go:")
}

func TestTwoOperatorsAtOnce(t *testing.T) {
	one, two, three := open(t), open(t), open(t)
	two.noScripts() // so that its page is not up to date
	one.in()
	two.in()
	three.in()
	address, _ := later(t)
	one.see(address)
	two.see(address)
	three.see(address)
	one.press("Cancel the job")
	three.comes(".badges", "canceled")
	two.allow("Failed to load resource") // the answer is a page that says so
	two.press("Run now")
	two.has("main", "canceled")
}

func TestTheServerIsKilledUnderAnOpenPage(t *testing.T) {
	b := open(t)
	b.in()
	address, id := later(t)
	b.see(address)
	b.mayBeGone()
	if err := site.kill(); err != nil {
		t.Fatal(err)
	}
	if err := site.start(); err != nil {
		t.Fatal(err)
	}
	b.press("Run now") // of the page that was open, with the session that it had
	until(t, site.API.App("quiet"), id, is(api.StateSuccess))
	b.see(address)
	b.has(".badges", "success")
}

// TestTokensAreMadeAndRevoked: the token that the page has made signs in, until it is revoked there.
func TestTokensAreMadeAndRevoked(t *testing.T) {
	b := open(t)
	b.in()
	b.see("/ui/tokens")
	b.do(chromedp.SendKeys(chromedp.CSS("#name"), "guest of the page"), chromedp.Click(chromedp.CSS("input[name=all]")), chromedp.Click(chromedp.CSS("input[value=read]")))
	b.press("Make the token")
	b.has("#made", "carillon_")
	b.accessible()
	token := b.text("#made")
	guest := open(t)
	guest.signIn("/ui/apps", token)
	guest.has("h1", "Apps")
	guest.has(".who", "guest of the page")
	if text := guest.text(".top nav"); strings.Contains(text, "Tokens") {
		t.Errorf("one who may not see tokens is led to them: %s", text)
	}
	b.see("/ui/tokens")
	b.run(`[...document.querySelectorAll("tbody tr")].find(row => row.textContent.includes("guest of the page")).querySelector("summary").click()`)
	b.follow("tbody details[open] button")
	guest.see("/ui/apps")
	guest.has("main", "Your session is over")
}

// TestRefusalsArePages: a person who comes to a page that there is not, or by an address that is no page's, can read why.
func TestRefusalsArePages(t *testing.T) {
	b := open(t)
	b.in()
	b.allow("status of 404")
	for _, address := range []string{"/ui/no/such/page", "/ui//apps"} {
		b.see(address)
		b.has("h1", "There is nothing here")
		b.accessible()
	}
}
