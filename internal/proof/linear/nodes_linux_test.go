package linear_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"carillon/dispatch"
	"carillon/internal/pgtest"
	"carillon/internal/proof"
	"carillon/storage"
	"carillon/storage/postgres"
)

// postgresql is the server of all histories.
var postgresql pgtest.Server

func init() { atExit = postgresql.Stop }

// nodesRun is the making of the histories of two apps on two nodes.
type nodesRun struct {
	*linearRun
	server *pgtest.Server // that has the log
	schema string         // of the log
	shards int            // of the log
	client *http.Client
	nodes  []*nodeProcess
	owner  atomic.Int64 // of nodes, the one that was last seen to own the store

	loss    lossWindow
	noticed atomic.Int64 // errors of nodes, of records that the log has lost
}

// nodeProcess is a node, by way of a proxy to the log.
type nodeProcess struct {
	run   *nodesRun
	index int64 // in the nodes of the run
	name  string
	log   string // its address, by way of the proxy
	cache string
	skew  time.Duration
	proxy *pgtest.Proxy

	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed when the process of cmd is no more

	mu  sync.Mutex
	url string
}

// G1, G5, G43, G44: what the clients of two nodes that share a log were told has a serial order,
// whatever becomes of the nodes, of the connections to the log and of the server that has it:
// nothing acknowledged is lost or done twice, no read is older than what was acknowledged before
// it began, on any node, and no job runs before it is due.
func TestG44_NodesAreOneStore(t *testing.T) {
	postgresql.Address(t) // or the test is skipped
	tally := proof.NewTally(t, "linearizability, two nodes")
	linearize(t, tally, proof.Pick(1, 200, 200), proof.For(10*time.Second, 20*time.Second, 24*time.Hour), func(i int) *linearRun {
		r := newNodesRun(t, tally, &postgresql)
		r.schema = fmt.Sprint("linear", i)
		if i%4 == 3 && proof.Pick(false, false, true) { // which takes twice as long to begin
			r.shards = 64
		}
		first := rand.IntN(len(nodeFaults))
		r.run(func(life int) nodeFault { return nodeFaults[(first+life)%len(nodeFaults)] })
		return r.linearRun
	})
	t.Logf("connections were cut at %d places of the protocol", len(cutMessages.seen))
}

// newNodesRun begins the histories of two apps on a log that is made on the server.
func newNodesRun(t *testing.T, tally *proof.Tally, server *pgtest.Server) *nodesRun {
	client := &http.Client{Transport: &http.Transport{}, Timeout: linearStall}
	return &nodesRun{linearRun: newLinearRun(t, tally), server: server, schema: "carillon", shards: 8, client: client}
}

// nodeFault is what happens in one life, and is over when it returns.
type nodeFault struct {
	name   string
	happen func(r *nodesRun, owner *nodeProcess)
}

// nodeFaults are in the order of the lives of a history, which begins anywhere.
var nodeFaults = []nodeFault{
	{"the owner is killed", func(r *nodesRun, owner *nodeProcess) {
		owner.kill()
		owner.mustStart()
	}},
	{"the owner is paused for longer than its lease", func(r *nodesRun, owner *nodeProcess) {
		owner.signal(syscall.SIGSTOP)
		time.Sleep(2 * nodeTTL)
		owner.signal(syscall.SIGCONT)
	}},
	theNetwork("connections are cut"),
	theNetwork("what is on its way comes later"),
	theNetwork("each message is delayed"),
	theNetwork("nothing answers"),
	theNetwork("a connection is cut at each message"),
	{"the network of both nodes fails, of each in its own way", func(r *nodesRun, _ *nodeProcess) {
		var both sync.WaitGroup
		for _, n := range r.nodes {
			kinds := slices.Sorted(maps.Keys(networkFaults))
			both.Go(func() { networkFaults[kinds[rand.IntN(len(kinds))]](n.proxy) })
		}
		both.Wait()
	}},
	{"the server of the log ends at once, and is started", func(r *nodesRun, _ *nodeProcess) {
		r.server.Restart(r.t)
	}},
	{"the owner is told to stop", stopOwner},
	{"the owner is killed, and its cache removed", func(r *nodesRun, owner *nodeProcess) {
		owner.kill()
		r.no(os.RemoveAll(owner.cache))
		owner.mustStart()
	}},
	{"both nodes are killed, and begin with each other's caches", func(r *nodesRun, _ *nodeProcess) {
		for _, n := range r.nodes {
			n.kill()
		}
		r.swap(r.nodes[0].cache, r.nodes[1].cache)
		for _, n := range r.nodes {
			n.mustStart()
		}
	}},
	{"the owner is killed, and two files of its cache are swapped", func(r *nodesRun, owner *nodeProcess) {
		owner.kill()
		files, err := filepath.Glob(filepath.Join(owner.cache, "shard-*.db"))
		if err != nil || len(files) != r.shards {
			r.t.Errorf("the cache has %d files: %v", len(files), err)
		}
		r.swap(files[0], files[len(files)-1])
		owner.mustStart()
	}},
	{"the cache of a node is what it was a while ago", func(r *nodesRun, owner *nodeProcess) {
		owner.kill()
		before := owner.cache + ".before"
		r.no(os.CopyFS(before, os.DirFS(owner.cache)))
		owner.mustStart()
		time.Sleep(rand.N(nodeTTL))
		owner.kill()
		r.no(os.RemoveAll(owner.cache))
		r.no(os.Rename(before, owner.cache))
		owner.mustStart()
	}},
}

// no demands that there is no error.
func (r *nodesRun) no(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Error(err)
	}
}

// swap has two files, or directories, have each other's names.
func (r *nodesRun) swap(a, b string) {
	r.t.Helper()
	r.no(os.Rename(a, a+".swapped"))
	r.no(os.Rename(b, a))
	r.no(os.Rename(a+".swapped", b))
}

// nodeLives is how many faults a history has.
const nodeLives = 3

// run has the clients call the nodes through all faults of a history.
func (r *nodesRun) run(fault func(life int) nodeFault) {
	if _, err := postgres.Log(r.server.Address(r.t)+"&schema="+r.schema).Migrate(r.t.Context(), r.shards); err != nil {
		r.t.Fatal(err)
	}
	defer r.client.CloseIdleConnections()
	dir := r.t.TempDir()
	defer func() { r.no(os.RemoveAll(dir)) }() // there are hundreds
	skews := []time.Duration{0, 0}
	if r.skewed = rand.IntN(2) == 0; r.skewed {
		skews = []time.Duration{time.Hour, -time.Hour}
	}
	for i, name := range []string{"a", "b"} {
		n := &nodeProcess{run: r, index: int64(i), name: name, cache: filepath.Join(dir, name), skew: skews[i], proxy: pgtest.NewProxy(r.t, r.server.Socket())}
		n.log = n.proxy.Address() + "&schema=" + r.schema
		r.nodes = append(r.nodes, n)
	}
	for _, n := range r.nodes {
		n.mustStart()
		defer n.kill()
	}
	r.recover("two nodes have started")
	for life := range nodeLives {
		fault := fault(life)
		r.t.Logf("%s after %v: %s", r.schema, time.Since(r.began).Round(time.Millisecond), fault.name)
		r.live(fault)
		r.recover(fault.name)
		r.decide()
		r.loss.forget(r.apps)
	}
	r.finish(func(id storage.AppID, steps []linearStep) ([]linearSeen, error) {
		answer, err := r.ask(nodeRequest{App: id, Steps: steps})
		if err == nil && answer.Code != "" {
			err = errors.New(answer.Text)
		}
		return answer.Seen, err
	})
	if answer, err := r.ask(nodeRequest{Check: true}); err != nil || answer.Code != "" {
		r.tally.Other("check at the end: %v %s", err, answer.Text)
	}
}

// live has all clients do their operations, while the fault happens.
func (r *nodesRun) live(fault nodeFault) {
	var clients sync.WaitGroup
	for _, app := range r.apps {
		for n := range linearClients {
			clients.Go(func() {
				for range linearOps() {
					r.operate(app, n)
					time.Sleep(rand.N(2 * nodeTTL / time.Duration(linearOps()))) // else they are done before the fault is
				}
			})
		}
	}
	time.Sleep(rand.N(40 * time.Millisecond))
	fault.happen(r, r.nodes[r.owner.Load()])
	clients.Wait()
}

// recover waits until each app is written to.
func (r *nodesRun) recover(after string) {
	for _, app := range r.apps {
		for began := time.Now(); ; r.pause() {
			answer, err := r.ask(nodeRequest{App: app.id, Write: true})
			if err == nil && answer.Code == "" {
				break
			}
			if time.Since(began) > linearStall {
				r.tally.Other("after %s app %s is not served again: %v %s", after, app.id, err, answer.Text)
				return
			}
		}
	}
}

// operate does one operation and writes it into the history.
func (r *nodesRun) operate(app *linearApp, client int) {
	steps, write, fail := app.choose()
	req := nodeRequest{App: app.id, Steps: steps, Write: write, Fail: fail}
	req.Direct = write && !fail && len(steps) == 1 && steps[0].hosts() && rand.IntN(2) == 0
	r.loss.wait()
	r.do(app, client, req)
}

// do does an operation, and says whether it was acknowledged.
func (r *nodesRun) do(app *linearApp, client int, req nodeRequest) (done bool) {
	steps, write, fail := req.Steps, req.Write, req.Fail
	for began := time.Now(); ; r.pause() {
		op := porcupine.Operation{ClientId: client, Input: steps, Call: r.now()}
		answer, err := r.ask(req)
		op.Return = r.now()
		switch {
		case err == nil && answer.Code == "" && fail:
			r.tally.Other("an operation that fails was acknowledged: %+v", steps)
		case err == nil && answer.Code == "":
			op.Output = linearAnswer{Seen: answer.Seen}
			app.note(op, false)
		case write && !fail && (err != nil || answer.Code == dispatch.CodeUnknown):
			op.Output = linearAnswer{Unknown: true}
			app.note(op, true)
		case err == nil && answer.Code == dispatch.CodeUnavailable && time.Since(began) < linearStall:
			continue // it was not done
		case err != nil, answer.Code == dispatch.CodeUnknown, answer.Code == dispatch.CodeAborted, fail && answer.Code == dispatch.CodeFailedPrecondition:
			// It has read, or was rolled back.
		default:
			r.tally.Other("%+v: %s", steps, answer.Text)
		}
		return err == nil && answer.Code == ""
	}
}

// ask asks the node that was last seen to own the store, or the other one.
func (r *nodesRun) ask(req nodeRequest) (answer nodeAnswer, err error) {
	at := r.owner.Load()
	answer, err = r.nodes[at].ask(req)
	if refused := errors.Is(err, syscall.ECONNREFUSED); refused || err == nil && answer.Code == dispatch.CodeUnavailable {
		r.owner.CompareAndSwap(at, 1-at)
		if refused { // it was not sent
			answer, err = nodeAnswer{Code: dispatch.CodeUnavailable, Text: "the node is gone"}, nil
		}
	}
	return answer, err
}

func (n *nodeProcess) ask(req nodeRequest) (answer nodeAnswer, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return answer, err
	}
	n.mu.Lock()
	url := n.url
	n.mu.Unlock()
	r, err := http.NewRequestWithContext(n.run.t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	r.GetBody = nil // it is not sent a second time
	resp, err := n.run.client.Do(r)
	if os.IsTimeout(err) {
		n.run.tally.Other("node %s does not answer %+v", n.name, req)
		n.signal(syscall.SIGQUIT) // its goroutines tell why
	}
	if err != nil {
		return answer, err
	}
	defer func() { _ = resp.Body.Close() }()
	return answer, json.NewDecoder(resp.Body).Decode(&answer)
}

// mustStart starts the process, and waits until it listens.
func (n *nodeProcess) mustStart() {
	t := n.run.t
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"=node", nodeName+"="+n.name, nodeStore+"="+n.log, nodeCache+"="+n.cache,
		nodeSkew+"="+n.skew.String(), "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listens, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			switch what, rest, _ := strings.Cut(lines.Text(), " "); what {
			case "listens":
				listens <- rest
			case "owns":
				n.run.owner.Store(n.index)
			case "early":
				n.run.tally.Early("node %s: %s", n.name, rest)
			case "lost":
				n.run.noticed.Add(1)
			case "ended":
				n.run.tally.Other("node %s has ended: %s", n.name, rest)
			}
		}
		_ = cmd.Wait() // it was killed, or said why it has ended
	}()
	n.cmd, n.stdin, n.ended = cmd, stdin, ended
	select {
	case address := <-listens:
		n.mu.Lock()
		defer n.mu.Unlock()
		n.url = "http://" + address
	case <-ended:
		t.Errorf("node %s does not begin", n.name)
	case <-time.After(linearStall):
		t.Errorf("node %s does not listen", n.name)
	}
}

func (n *nodeProcess) signal(sig syscall.Signal) {
	if err := n.cmd.Process.Signal(sig); err != nil {
		n.run.t.Error(err)
	}
}

// stop has the process give its store up, and end.
func (n *nodeProcess) stop() {
	n.signal(syscall.SIGTERM)
	<-n.ended
}

// kill ends the process, if it has not ended.
func (n *nodeProcess) kill() {
	_ = n.cmd.Process.Kill()
	<-n.ended
	_ = n.stdin.Close()
}
