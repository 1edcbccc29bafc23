package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"carillon/server/ui"
)

// liveHeader is that of a page which is asked for again because it is live, and not by a person who waits for it.
const liveHeader = "Carillon-Live"

// shareWait is how long such a page waits for others that ask for the same: they are told of a change together.
const shareWait = 50 * time.Millisecond

// sharedPages makes a live page once for all that ask for it at about the same time with the same rights, so that many
// viewers of a page cost little more than one.
type sharedPages struct {
	mu   sync.Mutex
	next map[string]*sharedPage // by what the page depends on: those that nothing has been read for yet
}

// sharedPage is a page that some wait for.
type sharedPage struct {
	made chan struct{} // is closed when the next two are there
	page *ui.Answer
	err  error
}

// errUnmade is that of a page which has panicked in the goroutine of the one who made it.
var errUnmade = errors.New("the page was not made")

// get is the page, which is made after get was called: what was changed before is in it. It blocks until then, or until ctx
// is over.
func (s *sharedPages) get(ctx context.Context, key string, do func() (*ui.Answer, error)) (*ui.Answer, error) {
	s.mu.Lock()
	p, others := s.next[key]
	if !others {
		p = &sharedPage{made: make(chan struct{}), err: errUnmade}
		if s.next == nil {
			s.next = map[string]*sharedPage{}
		}
		s.next[key] = p
	}
	s.mu.Unlock()
	if others {
		select {
		case <-p.made:
			return p.page, p.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer close(p.made)
	time.Sleep(shareWait)
	s.mu.Lock()
	delete(s.next, key)
	s.mu.Unlock()
	p.page, p.err = do()
	return p.page, p.err
}

// pageOnce is the page, shared if it is live. All that it depends on, besides what is stored, is in the key. Once others
// may wait for it, it does not end with the one who has asked first.
func (h *handler) pageOnce(page *ui.Page, asked *ui.Request, r *http.Request, op *Operator) (*ui.Answer, error) {
	if r.Method != http.MethodGet || r.Header.Get(liveHeader) == "" {
		return page.Do(asked)
	}
	key := fmt.Sprintf("%q %q %t %q %t %q %t %q", r.URL.RequestURI(), r.Host, r.TLS != nil, op.Name, asked.Session, op.Scopes, op.AllApps, op.Apps)
	var took time.Duration // none if another one makes it
	defer func() { h.live.paid(took) }()
	return h.pages.get(r.Context(), key, func() (*ui.Answer, error) {
		began := time.Now()
		defer func() { took = time.Since(began) }()
		r := r.WithContext(context.WithoutCancel(r.Context()))
		return page.Do(h.pageRequest(r, op))
	})
}
