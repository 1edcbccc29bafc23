package pglog_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/internal/pgtest"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// TestServerThatIsAway: what cannot be sent is refused at once, whether the server refuses
// connections or accepts them without an answer. Soon after its return appends go on under
// the claim of before.
func TestServerThatIsAway(t *testing.T) {
	p := mustPlace(t)
	const patience = 6 * time.Second
	log := p.open(t, pglog.Options{ConnectTimeout: patience})
	c := mustClaim(t, log, 1)
	for _, half := range []bool{false, true} {
		mustAppend(t, log, record(c, c.Last+1, "before"))
		c.Last++
		p.proxy.CutConnect(true)
		p.proxy.CutAll()
		for err := error(nil); !errors.Is(err, pglog.ErrAway); { // its end may not have come yet
			if err = log.Append(record(c, c.Last+1, "away"))[0]; errors.Is(err, wal.ErrUnknown) {
				p.proxy.CutConnect(false) // begin again
				c = mustReach(t, log, 1)
				mustAppend(t, log, record(c, c.Last+1, "before"))
				c.Last++
				p.proxy.CutConnect(true)
				p.proxy.CutAll()
			}
		}
		p.proxy.HalfOpen(half)
		p.proxy.CutConnect(!half)
		accepted, began := p.proxy.Accepted.Load(), time.Now()
		for range 200 {
			wants(t, log.Append(record(c, c.Last+1, "away"))[0], pglog.ErrAway)
			if time.Since(began) > patience/2 {
				t.Fatal("an append waits for a server that is away")
			}
		}
		if n := p.proxy.Accepted.Load() - accepted; n > 100 {
			t.Errorf("200 appends make %d connections", n)
		}
		p.proxy.HalfOpen(false)
		p.proxy.CutConnect(false)
		began = time.Now()
		for errors.Is(log.Append(record(c, c.Last+1, "after"))[0], pglog.ErrAway) {
			if time.Since(began) > patience/2 {
				t.Fatal("the server is back, and is not found")
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Logf("acknowledged %v after the server's return", time.Since(began))
		c.Last++
	}
	if got := texts(t, log, 1, 2); slices.Contains(got, "away") || !slices.Contains(got, "after") {
		t.Errorf("the log has %q", got)
	}
}

// TestServerThatDoesNotAnswer: once both connections for appends have waited, appends behind
// them are refused, until one has its answer.
func TestServerThatDoesNotAnswer(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{SilenceTimeout: 50 * time.Millisecond, AnswerTimeout: 3 * time.Second})
	var claims [3]wal.Claim
	for i := range claims {
		claims[i] = mustClaim(t, log, wal.Volume(i))
		mustAppend(t, log, record(claims[i], 2, "before"))
	}
	sent := make(chan bool, 3)
	release := make(chan struct{})
	p.proxy.SetFate(func(statement string) pgtest.Fate {
		if statement == "append" {
			sent <- true
			<-release
		}
		return pgtest.Pass
	})
	var answers [3]chan error
	add := func(i int) {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- log.Append(record(claims[i], 3, "x"))[0] }()
	}
	add(0)
	<-sent
	add(1)
	<-sent
	add(2)
	wants(t, <-answers[2], pglog.ErrAway)
	wants(t, log.Append(record(claims[2], 3, "x"))[0], pglog.ErrAway)
	close(release)
	wants(t, errors.Join(<-answers[0], <-answers[1]), nil)
	mustAppend(t, log, record(claims[2], 3, "y"))
}

// TestG1_CutAtEachMessage: wherever a connection is cut, before and behind each message of
// either side, an append is acknowledged only if it is in the log, and refused only if it
// never will be.
func TestG1_CutAtEachMessage(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	c := mustClaim(t, log, 1)
	add := func(text string) error {
		err := log.Append(record(c, c.Last+1, text))[0]
		if err == nil {
			c.Last++
		}
		for claim := errors.Is(err, wal.ErrUnknown); claim; {
			var again error
			c, again = log.Claim(t.Context(), 1)
			claim = again != nil
		}
		return err
	}
	answers := map[string]error{}
	for _, fate := range []pgtest.Fate{pgtest.CutBefore, pgtest.CutAfter} {
		for at := 1; ; at++ {
			for add("between") != nil {
				time.Sleep(time.Millisecond) // until it is back
			}
			if fate == pgtest.CutBefore { // what prepares a connection is cut as well
				p.proxy.CutAll()
			}
			var mu sync.Mutex
			n := 0
			var cut atomic.Bool
			p.proxy.SetMessageFate(func(m pgtest.Message) pgtest.Fate {
				mu.Lock()
				defer mu.Unlock()
				if n == 0 && m.Type != 'P' && m.Statement == "" { // the server is being checked
					return pgtest.Pass
				}
				if n++; n != at {
					return pgtest.Pass
				}
				cut.Store(true)
				return fate
			})
			text := fmt.Sprintf("%d/%d", fate, at)
			answers[text] = add(text)
			p.proxy.SetMessageFate(nil)
			if !cut.Load() { // it has no message more
				break
			}
		}
	}
	for add("end") != nil {
		time.Sleep(time.Millisecond)
	}
	all := texts(t, p.open(t, pglog.Options{}), 1, 1)
	met := map[string]int{}
	for text, answer := range answers {
		there := slices.Contains(all, text)
		switch {
		case errors.Is(answer, wal.ErrUnknown):
			met[fmt.Sprintf("unknown, there: %t", there)]++
		case (answer == nil) != there:
			t.Errorf("%s: the answer is %v, and it is there: %t", text, answer, there)
		default:
			met[fmt.Sprintf("there: %t", there)]++
		}
	}
	if t.Log(met); met["there: true"] == 0 || met["unknown, there: true"] == 0 {
		t.Error("not all outcomes were met")
	}
}
