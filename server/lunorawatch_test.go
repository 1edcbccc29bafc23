package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestG42_LunoraWatch: a WebSocket tells of the first jobs, and again when they have changed.
func TestG42_LunoraWatch(t *testing.T) {
	s := mustLunora(t)
	schedule := func(id string) {
		t.Helper()
		s.want(t, "schedule", `{"functionPath":"notes:post","id":"`+id+`","scheduledFor":`+far+`}`, 200, `{"id":"`+id+`","scheduledFor":`+far+`}`)
	}
	schedule("b")
	s.want(t, "ws", "", 404, `{"error":{"code":"NOT_FOUND"}}`)
	dial := func(token string) (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/v1/apps/acme/scheduler/ws", &websocket.DialOptions{
			HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
		})
	}
	if _, resp, err := dial("writes"); err == nil || resp.StatusCode != 403 {
		t.Errorf("without the scope: %v, %v", resp, err)
	}
	conn, _, err := dial("reads")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	// until reads messages until there is one that has, and has not, the texts.
	until := func(has, hasNot string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for {
			_, text, err := conn.Read(ctx)
			if err != nil {
				t.Fatalf("waiting for %q without %q: %v", has, hasNot, err)
			}
			if strings.Contains(string(text), has) && (hasNot == "" || !strings.Contains(string(text), hasNot)) {
				return
			}
		}
	}
	until(`{"type":"jobs","records":[{"id":"b",`, "")
	schedule("a")
	until(`{"type":"jobs","records":[{"id":"a",`, "")
	s.want(t, "cancel", `{"id":"b"}`, 200, `{"cancelled":true}`)
	until(`"id":"a"`, `"id":"b"`)
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("lunora-ping")); err != nil {
		t.Fatal(err)
	}
	until("lunora-pong", "")
	s.want(t, "cancel", `{"id":"a"}`, 200, `{"cancelled":true}`)
	until(`{"type":"jobs","records":[],"truncated":false}`, "")
}
