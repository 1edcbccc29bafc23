package kill_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/server/api"
	"carillon/storage"
)

const (
	loadClients = 64
	loadApps    = 4
)

// loadRun is a server under load that is killed once, and its clients, which go on.
type loadRun struct {
	*killLoop
	ctx     context.Context // of the traffic
	events  int             // that streams have told
	answers map[string]int
	retries int
	ops     []*loadOp
	heap    [][]int // of each life, in bytes
}

// loadOp is something that a client asks for, and what it was told. What has a key is asked for
// until there is an answer.
type loadOp struct {
	do       string // load:add, load:ask or load:job
	app, key string
	keyed    bool
	acked    bool
	canceled bool // the job, and that was acknowledged
	doc      storage.ID[loadDoc]
	job      storage.JobID
}

// loadKinds are the kinds of requests: clients draw from them by weight.
var loadKinds = [...]struct {
	name   string
	weight int
	do     func(*loadClient) error
}{
	{"mutations with a key", 30, (*loadClient).add},
	{"queries", 14, (*loadClient).read},
	{"actions", 8, (*loadClient).act},
	{"schedules with a key", 20, (*loadClient).schedule},
	{"cancels", 6, (*loadClient).cancel},
	{"long polls of results", 6, (*loadClient).await},
	{"listings", 6, (*loadClient).list},
	{"looks at jobs", 10, (*loadClient).get},
}

// G39, G1, G3: sixty-four clients, of which some read streams of events, mix calls, schedules and
// looks while the server is killed and started again. What was acknowledged is there; what has a
// key was applied once, however often it was asked for; and the memory of the server stays flat.
func TestG39_Load(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a real server under load")
	}
	tally := proof.NewTally(t, "load")
	span := proof.Pick(time.Second, 5*time.Second, 30*time.Second)
	dir := filepath.Join(t.TempDir(), "data")
	l := &loadRun{answers: map[string]int{}, killLoop: newKillLoop(t, tally)}
	l.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * loadClients}}
	l.command = l.serve(func(int) string { return dir })
	defer l.client.CloseIdleConnections()
	var stop context.CancelFunc
	l.ctx, stop = context.WithCancel(t.Context())
	life := l.mustServe(1)
	l.publish(life, false)
	var clients sync.WaitGroup
	for n := range loadClients {
		c := &loadClient{run: l, n: n, app: fmt.Sprint("load", n%loadApps)}
		clients.Go(func() {
			do := c.work
			if n >= loadClients-loadApps {
				do = c.stream
			}
			if err := do(); err != nil {
				tally.Other("client %d: %v", n, err)
			}
		})
	}
	l.measure(life, span/2)
	l.publish(nil, false)
	life.kill()
	life = l.mustServe(2)
	l.publish(life, false)
	l.measure(life, span/2)
	l.publish(life, true)
	stop()
	clients.Wait()
	l.settle(life)
	life.kill()
	checkHeap(tally, l.heap)
	l.verify(dir)
	for _, kind := range loadKinds {
		t.Logf("%6d %s", l.answers[kind.name], kind.name)
		if l.answers[kind.name] == 0 && span > time.Second {
			tally.Other("no %s", kind.name)
		}
	}
	t.Logf("%6d events, %d retries; heap in MiB, each life: %v", l.events, l.retries, mib(l.heap))
}

// measure reads the memory of the server until the time is over.
func (l *loadRun) measure(life *killLife, span time.Duration) {
	var heap []int
	for end, every := time.Now().Add(span), max(span/40, 50*time.Millisecond); time.Now().Before(end); l.pause(every) {
		var bytes int
		if err := l.send(life, http.MethodGet, loadHeap, nil, &bytes); err != nil {
			l.tally.Other("memory: %v", err)
			return
		}
		heap = append(heap, bytes)
	}
	l.heap = append(l.heap, heap)
}

// settle waits until every job has ended but those that are far ahead, and canceled.
func (l *loadRun) settle(life *killLife) {
	due := time.Now().Add(time.Minute)
	path := "/jobs?function=load:job&state=pending&state=running&limit=1&dueBefore=" + due.UTC().Format(time.RFC3339)
	for limit := time.Now().Add(30 * time.Second); ; l.pause(20 * time.Millisecond) {
		open := 0
		for n := range loadApps {
			var page api.JobPage
			if err := l.ask(life, http.MethodGet, fmt.Sprint("load", n), path, nil, &page); err != nil {
				l.t.Fatal(err)
			}
			open += len(page.Jobs)
		}
		if open == 0 {
			return
		}
		if time.Now().After(limit) {
			l.tally.Lost("jobs that have long been due have not run")
			return
		}
	}
}

// verify reads what the killed server has left.
func (l *loadRun) verify(dir string) {
	eng, err := actors.Open(dir, killOptions("", 0, slog.New(slog.DiscardHandler)))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(eng.Check(), eng.Close(context.Background())); err != nil {
			l.tally.Other("the store: %v", err)
		}
	}()
	docs, states := map[string]int{}, map[string]storage.State{}
	for n := range loadApps {
		app, err := eng.App(storage.AppID(fmt.Sprint("load", n)))
		if err != nil {
			l.t.Fatal(err)
		}
		err = app.Read(l.t.Context(), func(r storage.Reader) error {
			for doc, err := range loadDocs.Query(r).All() {
				if err != nil {
					return err
				}
				docs[doc.Value.Key]++
			}
			for _, op := range l.ops {
				if op.app == string(app.ID()) && op.job != "" {
					job, _, err := r.System().Get(op.job)
					if err != nil {
						return err
					}
					states[op.key] = job.State
				}
			}
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	l.tally.Tried(len(l.ops))
	checkLoad(l.tally, l.ops, docs, states)
}

// checkLoad holds what the clients were told against the documents, by key how many there are,
// and the states of jobs, by key.
func checkLoad(to killFinder, ops []*loadOp, docs map[string]int, states map[string]storage.State) {
	known := map[string]bool{}
	for _, op := range ops {
		known[op.key] = true
		want := 1
		if op.canceled {
			want = 0
		}
		switch n := docs[op.key]; {
		case n > want && op.canceled:
			to.Other("%s %s was canceled and has run", op.do, op.key)
		case n > want:
			to.Doubled("%s %s was applied %d times", op.do, op.key, n)
		case n < want && op.acked:
			to.Lost("%s %s was acknowledged, and is not there", op.do, op.key)
		case op.keyed && !op.acked:
			to.Other("%s %s was never answered", op.do, op.key)
		}
		if op.job == "" {
			continue
		}
		end := storage.StateSuccess
		if op.canceled {
			end = storage.StateCanceled
		}
		if state := states[op.key]; state == "" {
			to.Lost("job %s of %s was acknowledged, and is not there", op.job, op.key)
		} else if state != end {
			to.Other("job %s of %s is %s, want %s", op.job, op.key, state, end)
		}
	}
	for key := range docs {
		if !known[key] {
			to.Other("%s is there, and was not asked for", key)
		}
	}
}

// loadHeapSlack is how much the memory of a life may grow between its middle and its end, besides a
// quarter of it: what is in the log and not in the files comes and goes.
const loadHeapSlack = 8 << 20

// checkHeap demands of each life that has enough readings that the median of the last third of them is
// not above that of the second.
func checkHeap(to killFinder, lives [][]int) {
	for i, heap := range lives {
		third := len(heap) / 3
		if third < 3 {
			continue
		}
		middle, last := median(heap[third:2*third]), median(heap[len(heap)-third:])
		if limit := middle + middle/4 + loadHeapSlack; last > limit {
			to.Leaked("the heap of life %d is %d bytes in its middle and %d at its end, want %d at most", i+1, middle, last, limit)
		}
	}
}

// median is the middle reading.
func median(readings []int) int { return slices.Sorted(slices.Values(readings))[len(readings)/2] }

// mib are the thirds of each life.
func mib(lives [][]int) (text []string) {
	for _, heap := range lives {
		third := len(heap) / 3
		if third > 0 {
			text = append(text, fmt.Sprintf("%d, %d, %d", median(heap[:third])>>20, median(heap[third:2*third])>>20, median(heap[len(heap)-third:])>>20))
		}
	}
	return text
}

// loadClient is one of them.
type loadClient struct {
	run *loadRun
	n   int
	app string
	seq int

	added     []*loadOp // acknowledged lately
	scheduled []*loadOp
}

// work asks for one thing after the other while the traffic lasts. The error is what nothing that is
// asked for may be answered with.
func (c *loadClient) work() error {
	for c.run.ctx.Err() == nil {
		n, kind := rand.IntN(100), 0
		for ; n >= loadKinds[kind].weight; kind++ {
			n -= loadKinds[kind].weight
		}
		if c.seq == 0 {
			kind = 0
		}
		if err := loadKinds[kind].do(c); err != nil {
			return fmt.Errorf("%s: %w", loadKinds[kind].name, err)
		}
		c.run.mu.Lock()
		c.run.answers[loadKinds[kind].name]++
		c.run.mu.Unlock()
	}
	return nil
}

// op is a new one, which counts as asked for.
func (c *loadClient) op(do string) *loadOp {
	c.seq++
	op := &loadOp{do: do, app: c.app, key: fmt.Sprintf("%d-%d", c.n, c.seq)}
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	c.run.ops = append(c.run.ops, op)
	return op
}

// args have a text that is small, most of the time.
func (op *loadOp) args() loadArgs {
	size := rand.IntN(1 << rand.IntN(12))
	if rand.IntN(50) == 0 {
		size = 60 << 10
	}
	return loadArgs{op.key, strings.Repeat("x", size)}
}

// add calls the mutation with a key: now and then twice at once, or once more.
func (c *loadClient) add() error {
	op := c.op("load:add")
	op.keyed = true
	args := op.args()
	ask := func(doc *storage.ID[loadDoc]) error { return c.until(op.key, "/functions/load:add", args, doc) }
	if rand.IntN(8) == 0 {
		var other storage.ID[loadDoc]
		beside := make(chan error, 1)
		go func() { beside <- ask(&other) }()
		if err := errors.Join(ask(&op.doc), <-beside); err != nil {
			return err
		}
		c.same(op, string(op.doc), string(other))
	} else if err := ask(&op.doc); err != nil {
		return err
	}
	op.acked = true
	c.added = lately(c.added, op)
	if c.seq > 1 && rand.IntN(4) > 0 {
		return nil
	}
	var again storage.ID[loadDoc]
	if err := ask(&again); err != nil {
		return err
	}
	c.same(op, string(op.doc), string(again))
	return nil
}

// same demands of two answers to one call that they are one.
func (c *loadClient) same(op *loadOp, one, other string) {
	if one != other {
		c.run.tally.Doubled("%s %s was answered with %s, and with %s", op.do, op.key, one, other)
	}
}

// read looks for a document that was acknowledged.
func (c *loadClient) read() error {
	op := drawn(c.added)
	if op == nil {
		return c.list()
	}
	var doc loadDoc
	if err := c.until("", "/functions/load:read", loadRef{op.doc}, &doc); err != nil || doc.Key != op.key {
		c.run.tally.Lost("document %s of %s was acknowledged, and is not there: %+v %v", op.doc, op.key, doc, err)
	}
	return nil
}

// act calls the action, which can have no key: it is not asked for again.
func (c *loadClient) act() error {
	op := c.op("load:ask")
	err := c.once(http.MethodPost, "", "/functions/load:ask", op.args(), &op.doc)
	op.acked = err == nil
	var refused *killRefusal
	if errors.As(err, &refused) && !again(refused) {
		return err
	}
	return nil
}

// put schedules the job with a key, as often as until there is an answer, and now and then once more.
func (c *loadClient) put(after time.Duration) (*loadOp, error) {
	op := c.op("load:job")
	op.keyed = true
	body := api.JobRequest{Function: op.do, Args: must(json.Marshal(op.args())), AfterMs: new(after.Milliseconds())}
	var made, once api.Scheduled
	if err := c.until(op.key, "/jobs", body, &made); err != nil {
		return nil, err
	}
	op.acked, op.job = true, storage.JobID(made.JobID)
	if rand.IntN(4) == 0 {
		if err := c.until(op.key, "/jobs", body, &once); err != nil {
			return nil, err
		}
		c.same(op, made.JobID, once.JobID)
	}
	return op, nil
}

func (c *loadClient) schedule() error {
	op, err := c.put(time.Duration(rand.IntN(1000)) * time.Millisecond)
	if err == nil {
		c.scheduled = lately(c.scheduled, op)
	}
	return err
}

// cancel cancels a job that is far ahead.
func (c *loadClient) cancel() error {
	op, err := c.put(time.Hour)
	if err != nil {
		return err
	}
	err = c.until("", "/jobs/"+string(op.job)+"/cancel", struct{}{}, new(api.Affected))
	var refused *killRefusal
	if errors.As(err, &refused) && refused.Code == dispatch.CodeFailedPrecondition && strings.Contains(refused.Message, "is canceled") {
		err = nil // by a request that was cut off
	}
	op.canceled = err == nil
	return err
}

// await waits for the end of a job.
func (c *loadClient) await() error {
	op := drawn(c.scheduled)
	if op == nil {
		return c.list()
	}
	var end api.JobResult
	err := c.look("/jobs/"+string(op.job)+"/result?wait=2s", &end)
	if err == nil && end.Ended && end.State != api.StateSuccess {
		c.run.tally.Other("job %s has ended as %+v", op.job, end)
	}
	return err
}

func (c *loadClient) list() error { return c.look("/jobs?state=success&limit=20", new(api.JobPage)) }

func (c *loadClient) get() error {
	op := drawn(c.scheduled)
	if op == nil {
		return c.list()
	}
	return c.look("/jobs/"+string(op.job), new(api.Job))
}

// look is a GET that is repeated until there is an answer.
func (c *loadClient) look(path string, into any) error {
	return c.retried(func() error { return c.once(http.MethodGet, "", path, nil, into) })
}

// until is a POST, with a key if there is one, that is repeated until there is an answer.
func (c *loadClient) until(key, path string, body, into any) error {
	return c.retried(func() error { return c.once(http.MethodPost, key, path, body, into) })
}

// retried does it until there is an answer that is not to come again later.
func (c *loadClient) retried(do func() error) error {
	for limit := time.Now().Add(killTimeout); ; {
		err := do()
		var refused *killRefusal
		if err == nil || errors.As(err, &refused) && !again(refused) || time.Now().After(limit) {
			return err
		}
		c.run.mu.Lock()
		c.run.retries++
		c.run.mu.Unlock()
		c.run.pause(10 * time.Millisecond)
	}
}

// again says whether the refusal is over soon, or does not say what became of the request.
func again(refused *killRefusal) bool {
	switch refused.Code {
	case dispatch.CodeUnavailable, dispatch.CodeUnknown, dispatch.CodeCanceled:
		return true
	}
	return false
}

// once asks once, about the client's app, the life that there is or, after a kill, the next.
func (c *loadClient) once(method, key, path string, body, into any) error {
	life := c.run.serving(0)
	if life == nil {
		life = c.run.latest() // the traffic is over, and what was begun is brought to its end
	}
	ctx, cancel := context.WithTimeout(c.run.t.Context(), killTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, life.url+"/v1/apps/"+c.app+path, bytes.NewReader(must(json.Marshal(body))))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := c.run.client.Do(req)
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
			return &killRefusal{dispatch.CodeInternal, fmt.Sprintf("%d, and no JSON: %.200q", resp.StatusCode, data)}
		}
		return refused
	}
	return json.Unmarshal(data, &struct{ Result any }{into})
}

// stream reads the events of its app's jobs while the traffic lasts.
func (c *loadClient) stream() error {
	for life := c.run.serving(0); life != nil; life = c.run.serving(0) {
		told, err := c.events(life)
		c.run.mu.Lock()
		c.run.events += told
		c.run.mu.Unlock()
		if err != nil {
			return err
		}
		c.run.pause(10 * time.Millisecond)
	}
	return nil
}

// events reads one stream until it is cut off. The error is of one that does not begin as it has to.
func (c *loadClient) events(life *killLife) (told int, err error) {
	req, err := http.NewRequestWithContext(c.run.ctx, http.MethodGet, life.url+"/v1/apps/"+c.app+"/events?state=pending&state=running", nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.run.client.Do(req)
	if err != nil {
		return 0, nil // it was killed
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var refused killRefusal
		if err := json.NewDecoder(resp.Body).Decode(&refused); err != nil || refused.Code != dispatch.CodeNotFound { // until the app is there
			return 0, fmt.Errorf("a stream of events: %d %v %w", resp.StatusCode, &refused, err)
		}
		return 0, nil
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		event, ok := strings.CutPrefix(lines.Text(), "event: ")
		if !ok {
			continue
		}
		if told++; (told == 1) != (event == string(actors.EventReset)) && event != "lagged" {
			return told, fmt.Errorf("event %d of a stream is %q", told, event)
		}
	}
	return told, nil
}

// lately keeps the last of them.
func lately(ops []*loadOp, op *loadOp) []*loadOp {
	ops = append(ops, op)
	return ops[max(0, len(ops)-16):]
}

// drawn is one of them, if there is any.
func drawn(ops []*loadOp) *loadOp {
	if len(ops) == 0 {
		return nil
	}
	return ops[rand.IntN(len(ops))]
}

// must is the value of what cannot fail.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
