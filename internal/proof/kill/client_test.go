package kill_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// killOp is a line of a client's log: what it is about to ask for or, with
// Acked, what it was answered. Each line is on disk before the client goes on.
type killOp struct {
	Seq   int
	Acked bool

	// What it asks for.
	Do    string // a function: see killClient.op
	App   string
	Key   string        // by which its effects are told from others
	N     int           // jobs
	Post  string        // published, or the page edited, or the campaign begun
	Job   storage.JobID // canceled
	Fails int           // attempts that fail
	Stuck int           // of those, that are given up long before they return
	Once  bool          // at most once
	Lane  string        // of an action, which nobody cancels then
	Late  bool          // it may be too late

	Adds    bool // of a group: its first member adds another
	Open    bool // it is sealed by a call of its own
	Cancels bool // or canceled

	Kind     string // of a revision: replace, throttle or args
	Revision int    // that it asks for
	Changes  bool   // it asks for other arguments of Job, which is scheduled

	// What it was answered.
	Jobs     []storage.JobID
	Order    string
	Canceled bool
	Found    storage.State
	Life     int           // of the server that answered
	Ended    storage.State // of a job that it has waited for
	Group    storage.GroupID
	Sealed   bool // the call that seals or cancels the group was acknowledged
	Told     bool // what became of the change
	Changed  bool // Job has the other arguments
	Reports  int  // that the observer had at the latest when the answer was there
}

// job is the idempotency key of a job of the op's app.
func (d *killOp) job(id storage.JobID) string {
	return dispatch.JobRun{App: storage.AppID(d.App), ID: id}.IdempotencyKey()
}

// killClient calls the server as long as the loop goes on, and is not killed.
type killClient struct {
	loop *killLoop
	n    int
	app  string
	log  *os.File
	seq  int
	jobs []killOp // acknowledged lately: there is something to cancel

	revisions map[string]int // by kind
}

// killRefusal is an error that the server has answered with.
type killRefusal struct {
	Code    dispatch.Code
	Message string
}

func (e *killRefusal) Error() string { return string(e.Code) + ": " + e.Message }

// run does one op after the other, and waits for the next life of the server
// when one is cut off.
func (c *killClient) run() error {
	for life := c.loop.serving(0); life != nil; {
		if err := c.op(life); err != nil {
			var refused *killRefusal
			if errors.As(err, &refused) {
				return fmt.Errorf("client %d: %w", c.n, err)
			}
			life = c.loop.serving(life.number + 1)
			continue
		}
		c.loop.acked.Add(1)
		if c.loop.stopped() {
			break
		}
	}
	return c.log.Close()
}

// note writes a line into the log.
func (c *killClient) note(d killOp) error {
	line, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if _, err := c.log.Write(append(line, '\n')); err != nil {
		return err
	}
	return c.log.Sync()
}

// op asks for one thing. The error is a *killRefusal if the server has refused
// it, and any other if nobody knows what became of it.
func (c *killClient) op(life *killLife) error {
	c.seq++
	d := killOp{Seq: c.seq, App: c.app, Key: fmt.Sprintf("c%d-%d", c.n, c.seq), N: 1}
	kinds := []string{"counters:later", "counters:later", "counters:fail", "posts:publish", "orders:place", "jobs:cancel", "jobs:cancel", "search:edit", "campaign:start"}
	if c.loop.observer != nil {
		kinds = append(kinds, "observer:later", "observer:later", "observer:later", "chain:later",
			"group:start", "export:later", "ask:later", "revised:ask", "revised:ask")
	}
	d.Do = kinds[rand.IntN(len(kinds))]
	if c.seq == 1 && c.loop.observer != nil {
		d.Do = []string{"chain:later", "group:start", "export:later", "ask:later"}[c.n/2%4] // the shortest of loops has some
	}
	if c.seq == 2 && c.loop.observer != nil {
		if d.Do = killRevise.Path(); c.n < killApps {
			d.Do = killPastStart.Path()
		}
	}
	if len(c.jobs) == 0 && d.Do == "jobs:cancel" {
		d.Do = "counters:later"
	}
	after := rand.IntN(400)
	var args map[string]any
	switch d.Do {
	case "revised:ask":
		return c.revise(life, &d)
	case "counters:later":
		if d.N += rand.IntN(3); rand.IntN(20) == 0 {
			d.N = 50
		}
		args = map[string]any{"key": d.Key, "n": d.N, "afterMs": after}
	case "counters:fail":
		d.Fails = rand.IntN(4)
		args = map[string]any{"key": d.Key, "times": d.Fails, "retryMs": 20}
	case "posts:publish":
		var post string
		if err := c.loop.call(life, c.app, "posts:create", map[string]any{"title": d.Key}, &post); err != nil {
			return err
		}
		d.Post = post
		args = map[string]any{"postId": post, "notifyAfterMs": after}
	case "orders:place":
		args = map[string]any{"sku": d.Key}
	case "search:edit":
		if err := c.loop.call(life, c.app, "search:create", map[string]any{"text": "draft of " + d.Key}, &d.Post); err != nil {
			return err
		}
		args = map[string]any{"pageId": d.Post, "text": d.Key}
	case "campaign:start":
		d.N += rand.IntN(30)
		args = map[string]any{"subject": d.Key, "to": d.N}
	case "chain:later":
		args = map[string]any{"Key": d.Key, "AfterMs": after / 2}
	case "group:start":
		d.N, d.Adds, d.Open = rand.IntN(12), rand.IntN(2) == 0, rand.IntN(3) == 0
		d.Adds, d.Cancels = d.Adds && d.N > 0, d.Open && rand.IntN(3) == 0
		args = map[string]any{"Key": d.Key, "N": d.N, "AfterMs": after / 2, "Adds": d.Adds, "Open": d.Open}
	case "export:later":
		d.N, d.Fails = 1+rand.IntN(6), 0
		args = map[string]any{"Key": d.Key, "Pages": d.N, "Ms": rand.IntN(40), "Fails": rand.IntN(3), "AfterMs": after / 4}
		if rand.IntN(2) == 0 {
			args["ID"] = fmt.Sprintf("export%d-%d", c.n/killApps, c.seq)
		}
	case "ask:later":
		args = map[string]any{"Key": d.Key, "Ms": rand.IntN(20), "AfterMs": after / 4}
	case "jobs:cancel":
		of := c.jobs[rand.IntN(len(c.jobs))]
		d.Job = of.Jobs[rand.IntN(len(of.Jobs))]
		args = map[string]any{"id": d.Job}
	case "observer:later":
		if d.Once = rand.IntN(4) == 0; !d.Once && rand.IntN(4) == 0 {
			d.Fails = 1 + rand.IntN(2)
		}
		ms := rand.IntN(200)
		if rand.IntN(5) == 0 {
			if d.Stuck = 1; !d.Once {
				d.Stuck += rand.IntN(2)
			}
			d.Fails, ms = max(d.Fails, d.Stuck), 0
		}
		last := 0
		switch pool := []string{"", "", "", "narrow", "narrow", "line", "line", "line", "rated", "late"}[rand.IntN(10)]; {
		case pool == "late":
			d.Late, last = true, 1+rand.IntN(100)
		case pool != "" && (pool != "rated" || rand.IntN(4) == 0):
			if d.Lane = killLane(pool, c.n); d.Stuck > 0 {
				d.Fails, d.Stuck = 0, 0
			}
			if pool == "line" && !d.Once {
				d.Fails = rand.IntN(2)
			}
			if after = 0; pool != "narrow" {
				ms /= 4
			}
		}
		args = map[string]any{"Lane": d.Lane, "LastMs": last, "Key": d.Key, "Ms": ms, "Fails": d.Fails, "Stuck": d.Stuck, "AfterMs": after / 2, "Once": d.Once}
		if rand.IntN(2) == 0 { // an id that clients of other apps choose too
			args["ID"] = fmt.Sprintf("act%d-%d", c.n/killApps, c.seq)
		}
	}
	if err := c.note(d); err != nil {
		return err
	}
	var answer struct {
		JobIDs   []storage.JobID
		JobID    storage.JobID
		OrderID  string
		Canceled bool
		State    storage.State
		Group    storage.GroupID
	}
	into := any(&answer)
	switch d.Do {
	case "observer:later", "chain:later", "export:later", "ask:later":
		into = &answer.JobID
	case "campaign:start":
		into = &d.Post
	}
	if err := c.loop.call(life, c.app, d.Do, args, into); err != nil {
		return err
	}
	d.Acked, d.Jobs, d.Order, d.Canceled, d.Found, d.Life = true, answer.JobIDs, answer.OrderID, answer.Canceled, answer.State, life.number
	d.Group = answer.Group
	if answer.JobID != "" {
		d.Jobs = []storage.JobID{answer.JobID}
	}
	d.Reports = c.loop.observer.count()
	if len(d.Jobs) > 0 && d.Lane == "" {
		c.jobs = append(c.jobs, d)
		c.jobs = c.jobs[max(0, len(c.jobs)-8):]
	}
	if d.Open {
		return c.endGroup(life, &d)
	}
	if err := c.note(d); err != nil || d.Do != "chain:later" || rand.IntN(2) == 0 {
		return err
	}
	ended, err := c.loop.wait(life, c.app, d.Jobs[0])
	if err != nil {
		return err
	}
	d.Ended = ended.State
	return c.note(d)
}

// call runs a function and decodes its result.
func (l *killLoop) call(life *killLife, app, function string, args, result any) error {
	return l.ask(life, http.MethodPost, app, "/functions/"+function, args, result)
}

// ask sends one request about the app and decodes the result.
func (l *killLoop) ask(life *killLife, method, app, path string, args, result any) error {
	return l.send(life, method, "/v1/apps/"+app+path, args, result)
}

// send is ask about anything. What a node refuses whose lease has lapsed, since the machine is busy, was not done:
// it is asked again.
func (l *killLoop) send(life *killLife, method, path string, args, result any) error {
	for began := time.Now(); ; l.pause(20 * time.Millisecond) {
		err := l.sendOnce(life, method, path, args, result)
		var refused *killRefusal
		if l.died == nil || !errors.As(err, &refused) || refused.Code != dispatch.CodeUnavailable || time.Since(began) > killTimeout {
			return err
		}
	}
}

func (l *killLoop) sendOnce(life *killLife, method, path string, args, result any) error {
	body, err := json.Marshal(args)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, life.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	l.asked.Add(1)
	resp, err := l.client.Do(req)
	l.asked.Add(-1)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		refused := new(killRefusal)
		if err := json.Unmarshal(data, refused); err != nil {
			return err
		}
		return refused
	}
	return json.Unmarshal(data, &struct{ Result any }{result})
}

// readOps reads a client's log: what it has asked for, and which of it was
// acknowledged. Of an op the last line counts.
func readOps(name string) (ops []killOp, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		var d killOp
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			return nil, err
		}
		if n := len(ops); n > 0 && ops[n-1].Seq == d.Seq {
			ops[n-1] = d
			continue
		}
		ops = append(ops, d)
	}
	return ops, nil
}

// killTimeout is how long a request may take that no kill cuts off.
const killTimeout = 30 * time.Second
