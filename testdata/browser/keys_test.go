package browser

import (
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestKeysLeadToPages(t *testing.T) {
	b := open(t)
	b.in()
	b.see("/ui/apps/acme")
	for !value[bool](b, `document.querySelector(".palette")?.open ?? false`) { // the tab may not have the keys yet
		b.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	}
	b.do(chromedp.SendKeys(chromedp.CSS(".palette input"), "pool"))
	b.has(".palette li", "Pools")
	b.accessible()
	b.enter()
	b.has("h1", "Pools")

	for !value[bool](b, `document.querySelector(".palette")?.open ?? false`) { // as above
		b.do(chromedp.KeyEvent("/"))
	}
	b.run(`document.activeElement.value = ""`) // the driver types what the page has kept from being typed
	b.do(chromedp.SendKeys(chromedp.CSS(".palette input"), "au/dit"))
	if got := value[string](b, `document.activeElement.value`); got != "au/dit" {
		t.Errorf("a slash in the palette is not one of its text: %q", got)
	}
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Escape)) // the first one empties the field
	if value[bool](b, `document.querySelector(".palette").open`) {
		t.Error("Escape leaves the palette open")
	}

	b.see("/ui/apps/acme/jobs")
	b.do(chromedp.SendKeys(chromedp.CSS(".jump input"), "j/k"))
	if value[bool](b, `document.querySelector(".palette")?.open ?? false`) || value[string](b, `document.querySelector(".jump input").value`) != "j/k" {
		t.Error("keys that are typed in a field move elsewhere")
	}
	b.run(`document.activeElement.blur()`)
	b.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("j"), chromedp.KeyEvent("k"))
	if !value[bool](b, `document.activeElement === document.querySelector("main tbody th a")`) {
		t.Error("j, j and k do not lead to the first row")
	}
	want := value[string](b, "document.activeElement.href")
	b.enter()
	if got := value[string](b, "location.href"); got != want {
		t.Errorf("Enter led to %s, want %s", got, want)
	}
}

func TestTimesGoOn(t *testing.T) {
	b := open(t)
	b.in()
	b.see("/ui/apps/zoo/jobs?state=failed")
	value[string](b, `(() => { const time = document.querySelector("main time"); time.textContent = "once"; return "" })()`)
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](`/^[0-9]+ (s|min) ago$/.test(document.querySelector("main time").textContent)`)); err != nil {
		t.Fatal(err)
	}
}

// TestTimesAreShownAsChosen: from now, in UTC or in the browser's zone, on the next page, too.
func TestTimesAreShownAsChosen(t *testing.T) {
	b := open(t)
	b.in()
	b.see("/ui/apps/zoo/jobs?state=failed")
	choose := func(value string) {
		b.run(`(() => { const times = document.querySelector(".who select"); times.value = "` + value + `"; times.dispatchEvent(new Event("change")) })()`)
	}
	zone := value[string](b, "Intl.DateTimeFormat().resolvedOptions().timeZone")
	for _, c := range []struct{ value, text string }{{"utc", " UTC"}, {"local", " " + zone}, {"", " ago"}, {"utc", " UTC"}} {
		choose(c.value)
		b.comes("main time", c.text)
	}
	b.accessible()
	b.see("/ui/apps/zoo/jobs?state=failed&function=")
	b.comes("main time", "UTC")
}

// TestTheNextFiveAreShownWhileTyping: and what is wrong with a spec.
func TestTheNextFiveAreShownWhileTyping(t *testing.T) {
	b := open(t)
	b.in()
	b.allow("status of 400") // the answer is a page that says why
	b.see("/ui/apps/acme/new-trigger")
	b.do(chromedp.SendKeys(chromedp.CSS("#spec"), "0 3 * *"))
	b.comes("#slots", "field")
	b.do(chromedp.SendKeys(chromedp.CSS("#spec"), " *"))
	b.comes("#slots", "03:00")
	if n := value[int](b, `document.querySelectorAll("#slots tbody tr").length`); n != 5 {
		t.Errorf("%d slots are shown, want 5", n)
	}
	b.accessible()
}

func TestTheJumpLeadsToAJob(t *testing.T) {
	b := open(t)
	b.in()
	address, id := later(t)
	b.see("/ui/")
	b.do(chromedp.SendKeys(chromedp.CSS(".jump input"), string(id)))
	b.enter()
	if got := value[string](b, "location.pathname"); got != address {
		t.Errorf("it led to %s, want %s", got, address)
	}
}

// enter presses Enter, and waits for the page that it leads to.
func (b *tab) enter() {
	b.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.KeyEvent(kb.Enter))); err != nil {
		b.Fatal(err)
	}
}
