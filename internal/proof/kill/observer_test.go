package kill_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// killFinder is told what a check finds: it is a *proof.Tally, or a test of the check.
type killFinder interface {
	Lost(format string, args ...any)
	Doubled(format string, args ...any)
	Early(format string, args ...any)
	Leaked(format string, args ...any)
	Other(format string, args ...any)
}

// killJournal is the observer: the world outside of the server, which no kill
// undoes. It writes down what actions report, in the order it hears of it.
type killJournal struct {
	url string
	mu  sync.Mutex

	reports []killHeard
	notes   []killNote    // of checkpoints
	tokens  []killAsked   // of attempts that end from outside
	began   chan struct{} // told when an attempt has begun, if somebody listens
}

type killHeard struct {
	killReport
	at time.Time
}

func newJournal(t *testing.T) *killJournal {
	j := &killJournal{began: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/", j)
	mux.HandleFunc(killNotes, func(_ http.ResponseWriter, r *http.Request) { hear(j, r, &j.notes) })
	mux.HandleFunc(killTokens, func(_ http.ResponseWriter, r *http.Request) { hear(j, r, &j.tokens) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	j.url = srv.URL
	return j
}

// hear writes down what was said, behind what was heard before.
func hear[T any](j *killJournal, r *http.Request, list *[]T) {
	var said T
	if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
		return // it was killed while it spoke
	}
	j.mu.Lock()
	*list = append(*list, said)
	j.mu.Unlock()
	j.tellBegan()
}

// tellBegan tells who waits for an attempt that has begun.
func (j *killJournal) tellBegan() {
	select {
	case j.began <- struct{}{}:
	default:
	}
}

// token is the n-th that was heard of, if there is one yet.
func (j *killJournal) token(n int) (asked killAsked, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n >= len(j.tokens) {
		return killAsked{}, false
	}
	return j.tokens[n], true
}

// ServeHTTP implements http.Handler.
func (j *killJournal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	heard := killHeard{at: time.Now()}
	if err := json.NewDecoder(r.Body).Decode(&heard.killReport); err != nil {
		return // it was killed while it spoke
	}
	j.mu.Lock()
	j.reports = append(j.reports, heard)
	j.mu.Unlock()
	if !heard.Ended {
		j.tellBegan()
	}
}

// count is how many reports there are so far. A nil journal has none.
func (j *killJournal) count() int {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.reports)
}

// killAttempts are the reports of one job.
type killAttempts struct {
	key   string
	began map[int]int // by attempt: in which life
	good  bool        // one has ended well
}

// late is how many attempts have returned after they were given up.
func (j *killJournal) late() (n int) {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.reports {
		if r.Stuck && r.Ended {
			n++
		}
	}
	return n
}

// verify checks what can be said of the reports alone, and sorts them by job.
func (j *killJournal) verify(tally killFinder) map[string]*killAttempts {
	jobs := map[string]*killAttempts{}
	if j == nil {
		return jobs
	}
	keys := map[string]string{}
	running := map[string]killReport{}
	for _, r := range j.reports {
		job := jobs[r.Job]
		if job == nil {
			job = &killAttempts{key: r.Key, began: map[int]int{}}
			jobs[r.Job] = job
		}
		if id, known := keys[r.Key]; known && id != r.Job {
			tally.Doubled("%s runs under two idempotency keys, %s and %s", r.Key, id, r.Job)
		}
		keys[r.Key] = r.Job
		if r.Ended {
			delete(running, r.Job)
			job.good = job.good || !r.Failed
			continue
		}
		if was, is := running[r.Job]; is && was.Life == r.Life {
			tally.Doubled("attempts %d and %d of job %s run at once, in life %d", was.Attempt, r.Attempt, r.Job, r.Life)
		}
		running[r.Job] = r.killReport
		if life, again := job.began[r.Attempt]; again {
			tally.Doubled("attempt %d of job %s began in life %d and again in life %d", r.Attempt, r.Job, life, r.Life)
		}
		job.began[r.Attempt] = r.Life
		if r.at.Before(r.ScheduledFor) {
			tally.Early("job %s, due at %v, began at %v", r.Job, r.ScheduledFor, r.at)
		}
	}
	return jobs
}

// beganAfter says whether an attempt of the job began, as far as the observer
// has heard, after the reports that it had at a time, in a life after that one
// or, with here, in that one.
func (j *killJournal) beganAfter(job string, reports, life int, here bool) bool {
	for _, r := range j.reports[reports:] {
		if r.Job == job && !r.Ended && (r.Life > life || here) {
			return true
		}
	}
	return false
}
