package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"carillon/dispatch"
	"carillon/storage"
)

// DefaultMaxStreams is the default of Options.MaxStreams.
const DefaultMaxStreams = 1024

// streams counts the streams of events and the long polls, and ends them with their server.
type streams struct {
	most, share int    // share is of one client, and of one operator
	key         []byte // of the ids of events, which are good for as long as the handler, if no other node shares the log
	draining    context.Context

	mu      sync.Mutex
	open    int
	of      map[string]int // by who has them
	servers map[*http.Server]context.Context
}

func (s *streams) init(most int, draining context.Context) {
	s.most, s.share, s.draining = most, most-most/4, draining
	s.key = make([]byte, 32)
	_, _ = rand.Read(s.key) // it never fails
	s.of, s.servers = map[string]int{}, map[*http.Server]context.Context{}
}

// enter counts one more of the client and of the operator, until leave is called.
func (s *streams) enter(client, operator string) (leave func(), err error) {
	owners := [...]string{"client " + client, "operator " + operator}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.most {
		return nil, dispatch.Errorf(dispatch.CodeResourceExhausted, "%d streams of events and long polls are open, as many as there may be (MaxStreams)", s.open)
	}
	for _, owner := range owners {
		if s.share < s.most && s.of[owner] >= s.share {
			return nil, dispatch.Errorf(dispatch.CodeResourceExhausted, "%.128s has %d streams of events and long polls, as many as one may have", owner, s.of[owner])
		}
	}
	s.count(1, owners[:])
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.count(-1, owners[:])
	}, nil
}

// count counts n streams more of each of the owners. The lock is held.
func (s *streams) count(n int, owners []string) {
	s.open += n
	for _, owner := range owners {
		if s.of[owner] += n; s.of[owner] == 0 {
			delete(s.of, owner)
		}
	}
}

// closingOf is a context that ends when the server of the request begins to drain, or to shut
// down, which waits for requests under way: a stream has no end of its own.
func (s *streams) closingOf(r *http.Request) context.Context {
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return s.draining // a test's recorder
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	closing, known := s.servers[srv]
	if !known {
		var end context.CancelFunc
		closing, end = context.WithCancel(s.draining)
		s.servers[srv] = closing
		srv.RegisterOnShutdown(end)
	}
	return closing
}

// places are the ids of what the operator is told of the app's jobs that the filter chooses. Nodes
// that share a log know each other's.
func (h *handler) places(app storage.AppID, filter *storage.JobFilter, op *Operator) (places, error) {
	of, err := json.Marshal(filter)
	if err != nil {
		panic(err) // it came from a URL
	}
	key := h.streams.key
	if h.eng.Shared() {
		secret, err := h.eng.Tokens().SessionKey()
		if err != nil {
			return places{}, err
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte("ids of events"))
		key = mac.Sum(nil)
	}
	return places{key: key, stream: fmt.Appendf(nil, "%s %t %s\x00", app, op.may(ScopeReadArgs), of)}, nil
}
