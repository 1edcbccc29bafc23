package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"carillon/client"
	"carillon/cmd"
	"carillon/server/api"
)

// asServer is the variable that has the test binary be the server, on the directory that it names.
const asServer = "CARILLON_BROWSER_SERVE"

// aheadBy is the variable that has the clock of the server be ahead by so much, and gives its handlers no time to return
// once their deadline is over.
const aheadBy = "CARILLON_BROWSER_AHEAD"

// patience bounds what a test waits for, which takes milliseconds unless something is wrong.
const patience = 30 * time.Second

// shots and docs are where the screenshots go.
var (
	shots = flag.String("shots", "", "`DIR` for the screenshots of each page; without it none are made")
	docs  = flag.String("docs", "", "`DIR` for the screenshots of the documentation; without it none are made")
)

// What all tests share.
var (
	site    *process        // the server
	browser context.Context // of the one Chromium
	axe     string          // the script
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(asServer); dir != "" {
		cmd.Main(program())
		return
	}
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// run runs the tests between the start of the server and the browser and their end.
func run(m *testing.M) (code int, err error) {
	script := os.Getenv("CARILLON_AXE")
	if script == "" {
		script = "node_modules/axe-core/axe.min.js"
	}
	text, err := os.ReadFile(script)
	if err != nil {
		return 0, fmt.Errorf("axe-core comes with npm ci --ignore-scripts: %w", err)
	}
	axe = string(text)
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "carillon-browser-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	site = &process{dir: filepath.Join(dir, "data"), listen: "127.0.0.1:0"}
	if err := site.start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, site.kill()) }()
	if err := fill(); err != nil {
		return 0, err
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(chromium), chromedp.UserDataDir(filepath.Join(dir, "chromium")))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	alloc, end := chromedp.NewExecAllocator(context.Background(), options...)
	defer end()
	var cancel context.CancelFunc
	browser, cancel = chromedp.NewContext(alloc)
	defer cancel()
	if err := chromedp.Do(browser); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// process is the server.
type process struct {
	dir, listen string
	env         []string // besides that of the tests
	cmd         *exec.Cmd

	URL   string
	Token string         // the first one
	API   *client.Client // with that token
}

// start starts the server and waits until it says where it is. A second one is where the first was.
func (p *process) start() error {
	p.cmd = exec.Command(os.Args[0], "serve", "--data", p.dir, "--listen", p.listen, "--log-level", "error")
	p.cmd.Env = append(append(os.Environ(), asServer+"="+p.dir), p.env...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		_, rest, served := strings.Cut(lines.Text(), " on http://")
		if !served {
			continue
		}
		host, _, _ := strings.Cut(rest, ",")
		p.listen, p.URL = host, "http://"+host
		token, err := os.ReadFile(filepath.Join(p.dir, "operator-token"))
		for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline) && lines.Scan(); {
			token, err = os.ReadFile(filepath.Join(p.dir, "operator-token"))
		}
		if err != nil {
			return err
		}
		go func() {
			for lines.Scan() { // so that the server is never kept waiting by what it says
			}
		}()
		p.Token = strings.TrimSpace(string(token))
		p.API, err = client.New(p.URL, client.Options{Token: p.Token})
		return err
	}
	return errors.New("the server ended without saying where it is")
}

// kill ends the server as a power cut would.
func (p *process) kill() error {
	p.API.Close()
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = p.cmd.Wait() // it was killed
	return nil
}

// fill makes the apps that pages are of, and waits until their jobs are in the states that pages show.
func fill() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, name := range []string{"acme", "bakery", "quiet", "zoo"} {
		if _, err := site.API.CreateApp(ctx, name); err != nil {
			return err
		}
	}
	acme, bakery, zoo := site.API.App("acme"), site.API.App("bakery"), site.API.App("zoo")
	harm, err := zoo.Schedule(ctx, api.JobRequest{Function: "billing:charge", JobOptions: api.JobOptions{Tags: &[]string{strings.ReplaceAll(hostile, "alert", "print")}}}, order{ID: "Z-1", Note: hostile})
	if err != nil {
		return err
	}
	if _, err := zoo.Wait(ctx, harm.JobID); err != nil {
		return err
	}
	due := time.Now().Add(time.Hour)
	var last string
	for i := range 12 {
		for _, job := range []api.JobRequest{
			{Function: "orders:place", JobOptions: api.JobOptions{Tags: &[]string{"shop"}}},
			{Function: "orders:place", At: &due},
		} {
			made, err := acme.Schedule(ctx, job, order{ID: fmt.Sprintf("A-%d", 1000+i), Note: "two loaves of rye"})
			if err != nil {
				return err
			}
			if job.At == nil {
				last = made.JobID
			}
		}
	}
	if _, err := acme.Wait(ctx, last); err != nil {
		return err
	}
	if _, err := acme.Schedule(ctx, api.JobRequest{Function: "campaign:start"}, nil); err != nil {
		return err
	}
	if _, err := acme.CreateCron(ctx, api.CronDefinition{Name: "bread", Spec: "0 6 * * MON-FRI", Function: "orders:place"}); err != nil {
		return err
	}
	if _, err := acme.StartOperation(ctx, api.NewOperation{Action: "cancel", Filter: api.JobFilter{Function: "reports:none"}}); err != nil {
		return err
	}
	for _, note := range []string{"insufficient funds", "expired", "stolen"} {
		made, err := acme.Schedule(ctx, api.JobRequest{
			Function: "billing:charge", JobOptions: api.JobOptions{Tags: &[]string{"billing"}}, Unique: &api.UniqueRequest{Key: "card " + note, Policy: api.UniqueKeep},
		}, order{ID: "A-7", Note: note})
		if err != nil {
			return err
		}
		if _, err := acme.Wait(ctx, made.JobID); err != nil {
			return err
		}
	}
	for i := range 5 { // two run, and the others wait for the pool
		if _, err := acme.Schedule(ctx, api.JobRequest{Function: "mail:send"}, order{ID: fmt.Sprint(i)}); err != nil {
			return err
		}
	}
	_, err = bakery.Pause(ctx, "the oven is being mended: "+hostile)
	return err
}

// tab is a tab of the browser, with cookies of its own.
type tab struct {
	*testing.T
	ctx context.Context
	of  *process // whose pages it shows

	mu      sync.Mutex
	wrong   []string // what the page should not have done
	allowed []string // parts of what it may say
}

// open opens a tab, which fails the test at its end if a page of it did what it should not.
func open(t *testing.T) *tab {
	t.Helper()
	// A form to sign in is the answer to who has no session.
	b := &tab{T: t, of: site, allowed: []string{"status of 401"}}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.heard))
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	limited, stop := context.WithTimeout(ctx, 4*patience)
	b.ctx = limited
	t.Cleanup(func() {
		stop()
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, what := range b.wrong {
			t.Error(what)
		}
	})
	b.wide(1280)
	return b
}

// heard hears of all that happens in the tab.
func (b *tab) heard(event any) {
	var what string
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		what = "a dialog: " + e.Message
	case *runtime.EventExceptionThrown:
		what = "an exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			what = fmt.Sprintf("the console: %s %v", e.Type, e.Args)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			what = fmt.Sprintf("the log: %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if what != "" && !slices.ContainsFunc(b.allowed, func(part string) bool { return strings.Contains(what, part) }) {
		b.wrong = append(b.wrong, what)
	}
}

// allow lets the log of the tab have lines with the text.
func (b *tab) allow(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, part)
}

// mayBeGone lets the page say that the server is gone, in whichever way, and that it is not up yet.
func (b *tab) mayBeGone() {
	b.allow("net::ERR_")
	b.allow("status of 503")
}

// do does the steps.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		b.Fatalf("%v, at %s", err, where)
	}
}

// value is that of the expression on the page.
func value[T any](b *tab, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// see goes to the address, which begins with a slash.
func (b *tab) see(address string) {
	b.Helper()
	b.do(chromedp.Navigate(b.of.URL + address))
}

// wide makes the tab so many pixels wide.
func (b *tab) wide(pixels int64) {
	b.Helper()
	b.do(chromedp.EmulateViewport(pixels, 900))
}

// dark has the tab say that its reader likes it dark, or not.
func (b *tab) dark(is bool) {
	b.Helper()
	scheme := "light"
	if is {
		scheme = "dark"
	}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		b.Fatal(err)
	}
}

// noScripts has the pages of the tab run none.
func (b *tab) noScripts() {
	b.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		b.Fatal(err)
	}
}

// in has the tab be that of a session with the first token.
func (b *tab) in() {
	b.Helper()
	b.signIn("/ui/", b.of.Token)
}

// signIn goes to the address, and in with the token.
func (b *tab) signIn(address, token string) {
	b.Helper()
	b.see(address)
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), token))
	b.follow(`.signin button`)
}

// follow clicks what leads to another page, and waits for that.
func (b *tab) follow(css string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.Click(chromedp.CSS(css)))); err != nil {
		b.Fatalf("%s: %v", css, err)
	}
}

// press presses the button with the text, and waits for the page after.
func (b *tab) press(text string) {
	b.Helper()
	b.leave(fmt.Sprintf("button %q", text), fmt.Sprintf(`[...document.querySelectorAll("main button")].filter(e => e.textContent.trim() === %q)`, text))
}

// send fills the fields of the form whose action ends so, names and values in turn, presses its button, and waits for the page
// after.
func (b *tab) send(action string, fields ...string) {
	b.Helper()
	filled, err := json.Marshal(slices.Collect(slices.Chunk(fields, 2)))
	if err != nil {
		b.Fatal(err)
	}
	b.leave(fmt.Sprintf("form of %q", action), fmt.Sprintf(`[...document.querySelectorAll("main form")].filter(f => (f.getAttribute("action") ?? "").endsWith(%q)).map(f => {
		for (const [name, value] of %s ?? []) f.elements[name].value = value
		return f.querySelector("button")
	})`, action, filled))
}

// leave presses the one button that the expression finds, and waits for the page after.
func (b *tab) leave(what, buttons string) {
	b.Helper()
	// In one step: a page that is live is another one in the next.
	press := fmt.Sprintf(`(() => {
		const found = %s
		if (found.length === 1) {
			const folded = found[0].closest("details")
			if (folded) folded.open = true
			window.pressed = true
			found[0].click()
		}
		return found.length === 1
	})()`, buttons)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if one, err := chromedp.Run(ctx, chromedp.Evaluate[bool](press)); err != nil || !one {
		b.Fatalf("there is not one %s on %s: %v", what, b.text("main"), err)
	}
	// An event of loading may be that of the page before. While one gives way to the next there is none to ask.
	for {
		there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!window.pressed && document.readyState === "complete"`))
		if err == nil && there {
			return
		}
		if ctx.Err() != nil {
			b.Fatalf("the %s leads nowhere: %v", what, err)
		}
	}
}

// save clicks what leads to a file, and returns what the browser has saved.
func (b *tab) save(css string) []byte {
	b.Helper()
	dir, told := b.TempDir(), true
	if _, err := chromedp.Call(b.ctx, driver.SetDownloadBehavior, driver.SetDownloadBehaviorParams{
		Behavior: driver.SetDownloadBehaviorBehaviorAllowAndName, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID, DownloadPath: dir, EventsEnabled: &told,
	}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	saved, err := chromedp.Run(ctx, chromedp.WaitEvent(driver.DownloadProgress, func(e driver.EventDownloadProgress) bool {
		return e.State != driver.DownloadProgressStateInProgress
	}, chromedp.Click(chromedp.CSS(css))))
	if err != nil || saved.State != driver.DownloadProgressStateCompleted {
		b.Fatalf("%s is not saved: %+v, %v", css, saved, err)
	}
	file, err := os.ReadFile(filepath.Join(dir, saved.GUID))
	if err != nil {
		b.Fatal(err)
	}
	return file
}

// text is that of the element.
func (b *tab) text(css string) string {
	b.Helper()
	return value[string](b, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, css))
}

// has waits until the element has the text: that the page has loaded is told before all of it is there.
func (b *tab) has(css, text string) {
	b.Helper()
	got := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		got, _ = chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, css))) // a page that goes has no text
		if strings.Contains(got, text) {
			return
		}
	}
	b.Fatalf("%s: %q is not in %q", value[string](b, "location.href"), text, got)
}

// violation is a rule of axe that the page breaks.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	}
}

// accessible fails the test if axe finds anything on the page. With rules it looks for these alone.
func (b *tab) accessible(rules ...string) {
	b.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[chromedp.Void](axe+";0")); err != nil {
		b.Fatal(err)
	}
	only, err := json.Marshal(append([]string{}, rules...))
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range value[[]violation](b, fmt.Sprintf(`axe.run({runOnly: %s.length ? {type: "rule", values: %s} : undefined, resultTypes: ["violations"]}).then(r => r.violations)`, only, only)) {
		for _, n := range v.Nodes {
			b.Errorf("%s: %s (%s): %s\n%s\n%s", value[string](b, "location.pathname"), v.ID, v.Impact, v.Help, n.HTML, n.FailureSummary)
		}
	}
}

// until reads events of the app's job until it is as the test wants it.
func until(t *testing.T, app *client.App, id string, is func(api.Job) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for e, err := range app.Events(ctx, api.JobFilter{ID: id}, "") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Job != nil && is(*e.Job) {
			return
		}
	}
}
