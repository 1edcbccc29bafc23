package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"carillon/server/lunora"
	"carillon/storage"
)

// Times of a WebSocket of Lunora's scheduler.
const (
	lunoraEvery = 100 * time.Millisecond // between two frames, of which the later has all
	lunoraLook  = time.Second            // between two looks at an app that has too many jobs to be watched
)

// lunoraWatch tells a client of the first jobs by id, and again when they have changed.
func (h *handler) lunoraWatch(w http.ResponseWriter, r *request) (int, any, error) {
	if !upgrades(r.Request) {
		wrongMethod(w, r.Request, "")
		return 0, answered{}, nil
	}
	conn, end, err := h.acceptWebSocket(w, r.Request, r.op.Name, lunora.MaxFrame)
	if err != nil || conn == nil {
		return 0, answered{}, err
	}
	defer end()
	ctx, cancel := context.WithCancel(r.Context())
	changed := make(chan struct{}, 1)
	var all sync.WaitGroup
	all.Go(func() {
		defer cancel()
		lunoraPongs(ctx, conn)
	})
	all.Go(func() { h.lunoraChanges(ctx, r, changed) })
	h.lunoraTell(ctx, r, conn, changed)
	if why := revokedOf(ctx); why != nil {
		_ = conn.Close(websocket.StatusPolicyViolation, "the token is not good any more")
	}
	cancel()
	conn.CloseNow()
	all.Wait()
	return 0, answered{}, nil
}

// lunoraPongs answers the client until it has gone.
func lunoraPongs(ctx context.Context, conn *websocket.Conn) {
	for {
		kind, text, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if kind == websocket.MessageText && string(text) == lunora.Ping && lunoraWrite(ctx, conn, []byte(lunora.Pong)) != nil {
			return
		}
	}
}

func lunoraWrite(ctx context.Context, conn *websocket.Conn, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, text)
}

// lunoraChanges says when jobs may have changed, and first that there are any. Those of an app that has more
// than a watch begins with are looked at each second.
func (h *handler) lunoraChanges(ctx context.Context, r *request, changed chan<- struct{}) {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // it is known
		}
	}
	tell()
	filter := storage.JobFilter{States: []storage.State{storage.StatePending, storage.StateRunning, storage.StateHeld}}
	for ctx.Err() == nil {
		for _, err := range r.app.Watch(ctx, filter) {
			if err == nil {
				tell()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(lunoraLook):
			tell()
		}
	}
}

// lunoraTell sends frames until the client has gone, or does not read.
func (h *handler) lunoraTell(ctx context.Context, r *request, conn *websocket.Conn, changed <-chan struct{}) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var last []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if conn.Ping(ctx) != nil {
				return
			}
			continue
		case <-changed:
		}
		page, err := h.lunoraPage(r, false, "", lunora.PendingCursor)
		if err != nil {
			return
		}
		frame, err := json.Marshal(lunora.Frame{Type: lunora.FrameJobs, Records: page.Records, Truncated: page.Truncated})
		if err != nil || ctx.Err() != nil {
			return
		}
		if !bytes.Equal(frame, last) {
			if lunoraWrite(ctx, conn, frame) != nil {
				return
			}
			last = frame
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lunoraEvery):
		}
	}
}
