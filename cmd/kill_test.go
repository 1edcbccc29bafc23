package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// The tests of this file kill the real command with SIGKILL, in the middle of
// its work, and start it again on the same data. The sample app's triggers tick
// all the while, so jobs are told apart by their function.

// process is the command, running as a process of its own.
type process struct {
	cmd *exec.Cmd
	url string
	log *transcript
}

// mustBuild builds the command.
func mustBuild(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("kills a real server again and again")
	}
	binary := filepath.Join(t.TempDir(), "carillon")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "carillon/cmd/carillon").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// kills is how often a server is killed. The loop of the proof does so much oftener.
const kills = 3

// mustStart starts the server and waits until it says where it is.
func mustStart(t *testing.T, binary, dir string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, "demo", "--data", dir, "--listen", "127.0.0.1:0"), log: new(transcript)}
	p.cmd.Stderr = p.log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	first, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v\n%s", err, p.log)
	}
	p.url = mustAddress(t, first) + "/v1/apps/demo/functions/"
	return p
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// mustEnd asks the server to end, twice in one instant, which counts once: it ends well.
func (p *process) mustEnd(t *testing.T) {
	t.Helper()
	for range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v\n%s", err, p.log)
	}
}

// query decodes the result of a function into R.
func query[R any](client *http.Client, p *process, function, args string) (R, error) {
	var result R
	raw, err := callURL(client, p.url+function, args)
	if err == nil {
		err = json.Unmarshal(raw, &result)
	}
	return result, err
}

// mustClient makes a client whose connections end with the test.
func mustClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// eventually asks again and again until done says so, for 45 s at most.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within 45 s: %s", what)
		}
	}
}

// pause is how long a server is let live: a real process has no virtual time.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// TestG3_KillWhileJobsAreDue schedules 2,000 increments and kills the server
// while they run, several times: each of them counts once.
func TestG3_KillWhileJobsAreDue(t *testing.T) {
	const jobs = 2000
	binary, dir, client := mustBuild(t), filepath.Join(t.TempDir(), "data"), mustClient(t)
	p := mustStart(t, binary, dir)
	later := fmt.Sprintf(`{"key":"k","n":%d,"afterMs":100}`, jobs)
	if _, err := query[any](client, p, "counters:later", later); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		got, err := query[struct{ Count int }](client, p, "counters:get", `{"key":"k"}`)
		if err != nil {
			t.Fatal(err)
		}
		return got.Count
	}
	counts := make([]int, 0, kills)
	last := 0
	for range kills {
		// Each life gets on a little, by another number of jobs each time, and ends
		// in the middle of its work; one that cannot get on is not waited for.
		for least, polls := last+1+rand.IntN(150), 0; count() < least && polls < 50; polls++ {
			pause(t, 5*time.Millisecond)
		}
		p.kill()
		p = mustStart(t, binary, dir)
		last = count()
		counts = append(counts, last)
	}
	t.Logf("counted after each kill: %v", counts)
	eventually(t, "no job is pending or running", func() bool {
		pending, err := query[[]sample.JobRow](client, p, "jobs:list", `{"function":"counters:bump","state":"pending","limit":1}`)
		if err != nil {
			t.Fatal(err)
		}
		running, err := query[[]sample.JobRow](client, p, "jobs:list", `{"function":"counters:bump","state":"running","limit":1}`)
		if err != nil {
			t.Fatal(err)
		}
		return len(pending)+len(running) == 0
	})
	if got := count(); got != jobs {
		t.Errorf("counted %d, want %d", got, jobs)
	}
	rows, err := query[[]sample.JobRow](client, p, "jobs:list", `{"function":"counters:bump"}`)
	if err != nil || len(rows) != jobs {
		t.Errorf("%d jobs are known, want %d: %v", len(rows), jobs, err)
	}
	interrupted := 0
	for _, row := range rows {
		if row.State != storage.StateSuccess {
			t.Errorf("job %s is %s: %+v", row.ID, row.State, row.Error)
		}
		if row.Attempts > 1 {
			interrupted++
		}
	}
	t.Logf("%d jobs were interrupted by a kill and ran again", interrupted)
	p.mustEnd(t)
	mustBeWhole(t, dir)
}

// TestG1_KillWhilePublishing has clients publish posts while the server is
// killed again and again: every publish that was acknowledged is notified in
// the end, under one key.
func TestG1_KillWhilePublishing(t *testing.T) {
	const clients = 4
	binary, dir, client := mustBuild(t), filepath.Join(t.TempDir(), "data"), mustClient(t)
	p := mustStart(t, binary, dir)

	var mu sync.Mutex
	published := map[string]storage.JobID{} // by post: what was acknowledged
	unanswered := 0
	publish := func(p *process, after int64) bool {
		post, err := query[string](client, p, "posts:create", `{"title":"Hello"}`)
		if err != nil {
			return false
		}
		job, err := query[struct{ JobID storage.JobID }](client, p, "posts:publish",
			fmt.Sprintf(`{"postId":%q,"notifyAfterMs":%d}`, post, after))
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			unanswered++
			return false
		}
		published[post] = job.JobID
		return true
	}
	for range kills {
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for publish(p, rand.Int64N(300)) {
				}
			})
		}
		eventually(t, "a publish is acknowledged", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(published) > 0
		})
		pause(t, 200*time.Millisecond+time.Duration(rand.Int64N(int64(300*time.Millisecond))))
		p.kill()
		wg.Wait()
		p = mustStart(t, binary, dir)
	}
	t.Logf("%d publishes acknowledged, %d cut off by a kill", len(published), unanswered)
	eventually(t, "no job is pending or running", func() bool {
		rows, err := query[[]sample.JobRow](client, p, "jobs:list", `{"function":"notifications:notifySubscribers","limit":1}`)
		if err != nil {
			t.Fatal(err)
		}
		return len(rows) == 0 || rows[0].State == storage.StateSuccess // pending and running ones are listed first
	})
	for post, job := range published {
		sent, err := query[[]sample.Notification](client, p, "notifications:list", fmt.Sprintf(`{"postId":%q}`, post))
		if err != nil {
			t.Fatal(err)
		}
		if len(sent) != 1 || sent[0].Key != job {
			t.Errorf("post %s, published as job %s, was notified as %+v", post, job, sent)
		}
	}
	p.kill()
	mustBeWhole(t, dir)
}

// mustBeWhole runs "carillon check" on what the last kill has left.
func mustBeWhole(t *testing.T, dir string) {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"check", "--data", dir}, strings.NewReader(""), &out, os.Stderr); err != nil {
		t.Error(err)
	}
}
