package browser

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// comes waits until the element says the text, on the page that is there now.
func (b *tab) comes(css, text string) {
	b.Helper()
	value[bool](b, fmt.Sprintf(`new Promise((done) => {
		const look = () => (document.querySelector(%q)?.innerText ?? "").includes(%q) && done(true)
		new MutationObserver(look).observe(document, {subtree: true, childList: true, characterData: true, attributes: true})
		look()
	})`, css, text))
}

// run runs the script.
func (b *tab) run(script string) {
	b.Helper()
	value[bool](b, "(() => {"+script+"; return true})()")
}

// TestPagesAreLive: a page shows what has changed without a reload. What is focused and unfolded stays, what is being
// filled in is left alone, and a hidden tab follows nothing and catches up.
func TestPagesAreLive(t *testing.T) {
	b, app := open(t), site.API.App("quiet")
	b.in()
	address, id := later(t)
	b.see(address)
	b.comes(".live", "Live")
	b.run(`window.same = true; document.querySelector(".crumbs a").focus()
		const folded = document.createElement("details"); folded.open = true; document.querySelector("main").append(folded)`)
	if _, err := app.Cancel(context.Background(), id, false); err != nil {
		t.Fatal(err)
	}
	b.comes(".badges", "canceled")
	if !value[bool](b, `window.same && document.activeElement.matches(".crumbs a")`) {
		t.Error("the page was loaded anew, or has lost the focus")
	}

	b.see("/ui/apps/quiet")
	b.comes(".live", "Live")
	b.do(chromedp.SendKeys(chromedp.CSS("#reason"), "holi"))
	if _, err := app.Pause(context.Background(), "elsewhere"); err != nil {
		t.Fatal(err)
	}
	b.comes(".live", "Waits for your form")
	if got := value[string](b, `document.querySelector("#reason").value`); got != "holi" {
		t.Errorf("the form has %q", got)
	}
	b.run(`const field = document.querySelector("#reason"); field.value = ""; field.dispatchEvent(new Event("input", {bubbles: true}))`)
	b.comes(".badges", "paused")

	b.run(`Object.defineProperty(document, "hidden", {value: true, configurable: true}); document.dispatchEvent(new Event("visibilitychange"))`)
	b.comes(".live", "Not live")
	if _, err := app.Resume(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.has(".badges", "paused")
	b.run(`delete document.hidden; document.dispatchEvent(new Event("visibilitychange"))`)
	b.comes(".badges", "open")
	b.comes(".live", "Live")
}

// TestPagesCatchUpAfterARestart: a page whose server was killed shows what came while it was away.
func TestPagesCatchUpAfterARestart(t *testing.T) {
	b := open(t)
	b.in()
	address, id := later(t)
	b.see(address)
	b.comes(".live", "Live")
	b.mayBeGone()
	b.run("window.same = true")
	if err := site.kill(); err != nil {
		t.Fatal(err)
	}
	b.comes(".live", "Connecting")
	if err := site.start(); err != nil {
		t.Fatal(err)
	}
	if _, err := site.API.App("quiet").Cancel(context.Background(), id, false); err != nil {
		t.Fatal(err)
	}
	b.comes(".badges", "canceled")
	if !value[bool](b, "window.same") {
		t.Error("the page was loaded anew")
	}
}
