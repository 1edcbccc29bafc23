package linear_test

import (
	"math/rand/v2"
	"sync"
	"time"

	"carillon/internal/pgtest"
)

// networkFaults are what the way between a node and PostgreSQL can do, each for longer than a lease.
var networkFaults = map[string]func(p *pgtest.Proxy){
	"connections are cut": func(p *pgtest.Proxy) {
		for began := time.Now(); time.Since(began) < 2*nodeTTL; time.Sleep(rand.N(nodeTTL / 5)) {
			p.CutAll()
		}
	},
	"what is on its way comes later": func(p *pgtest.Proxy) {
		p.Hold()
		time.Sleep(2 * nodeTTL)
		p.Release()
	},
	"each message is delayed": func(p *pgtest.Proxy) { // a statement with its answer is nine
		p.Delay(rand.N(nodeTTL / 10))
		time.Sleep(2 * nodeTTL)
		p.Delay(0)
	},
	"nothing answers": func(p *pgtest.Proxy) { // the end of a connection was not heard, nor of those behind it
		p.HalfOpen(true)
		p.CutAll()
		time.Sleep(2 * nodeTTL)
		p.HalfOpen(false)
	},
	"a connection is cut at each message": func(p *pgtest.Proxy) {
		p.SetMessageFate(cutMessages.fate)
		time.Sleep(2 * nodeTTL)
		p.SetMessageFate(nil)
	},
}

// theNetwork is the fault of that name, of the owner.
func theNetwork(fault string) nodeFault {
	return nodeFault{"between the owner and its log " + fault, func(_ *nodesRun, owner *nodeProcess) { networkFaults[fault](owner.proxy) }}
}

// cutMessages has seen which messages a connection was cut at.
var cutMessages messagesCut

// messagesCut cuts a connection before and behind each kind of message, of either side, once, and then now and then.
type messagesCut struct {
	mu   sync.Mutex
	seen map[messageCut]bool
	last time.Time
}

// messageCut is where a connection is cut.
type messageCut struct {
	pgtest.Message
	fate pgtest.Fate
}

func (c *messagesCut) fate(m pgtest.Message) pgtest.Fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := messageCut{m, []pgtest.Fate{pgtest.CutBefore, pgtest.CutAfter}[rand.IntN(2)]}
	if time.Since(c.last) < nodeTTL/50 || c.seen[at] && rand.IntN(20) > 0 { // else nothing is done in between
		return pgtest.Pass
	}
	if c.seen == nil {
		c.seen = map[messageCut]bool{}
	}
	c.seen[at], c.last = true, time.Now()
	return at.fate
}
