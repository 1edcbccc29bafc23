package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"carillon/dispatch"
)

// upgrades says whether the request asks for a WebSocket.
func upgrades(r *http.Request) bool {
	has := func(name, want string) bool {
		return slices.ContainsFunc(strings.Split(strings.Join(r.Header.Values(name), ","), ","), func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), want) })
	}
	return r.ProtoMajor == 1 && has("Connection", "upgrade") && has("Upgrade", "websocket") && has("Sec-WebSocket-Version", "13") && r.Header.Get("Sec-WebSocket-Key") != ""
}

// acceptWebSocket makes the request a connection that is one of the client's streams, and that is closed when
// the server stops; end gives it back. limit bounds a message of the client, in bytes. The error is for
// the caller to answer with; without one conn is nil if it was answered already.
func (h *handler) acceptWebSocket(w http.ResponseWriter, r *http.Request, holder string, limit int64) (conn *websocket.Conn, end func(), err error) {
	closing := h.streams.closingOf(r)
	if closing.Err() != nil {
		return nil, nil, dispatch.Errorf(dispatch.CodeUnavailable, "the server stops")
	}
	leave, err := h.streams.enter(clientOf(r, h.opts.TrustedProxies), holder)
	if err != nil {
		return nil, nil, err
	}
	// Whose page it is was looked at by the route's gate.
	conn, err = websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		leave()
		return nil, nil, nil
	}
	conn.SetReadLimit(limit)
	stop := context.AfterFunc(closing, func() { _ = conn.Close(websocket.StatusGoingAway, "the server stops") })
	return conn, func() {
		stop()
		conn.CloseNow()
		leave()
	}, nil
}
