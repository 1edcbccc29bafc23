package dispatch_test

import (
	"context"
	"encoding/json"
	"testing"

	"carillon/dispatch"
	"carillon/storage"
)

// TestG39_ASessionsKeyIsOfTheSession: whichever identity the session has by then, its request is the same call; that of
// another session, of an operator or of an identity is another one.
func TestG39_ASessionsKeyIsOfTheSession(t *testing.T) {
	keyOf := func(ctx context.Context, identity *dispatch.Identity) storage.IdempotencyKey {
		_, keyed, err := dispatch.TakeIdempotencyKey(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return keyed.Of("notes:post", identity, json.RawMessage(`{"a":1}`))
	}
	ann := &dispatch.Identity{Subject: "ann"}
	key := keyOf(dispatch.WithSessionKey(t.Context(), "s", "7"), nil)
	if again := keyOf(dispatch.WithSessionKey(t.Context(), "s", "7"), ann); again != key || key.For != dispatch.SessionKeyFor {
		t.Errorf("a repeat has the key %v, the first one has %v", again, key)
	}
	for what, ctx := range map[string]context.Context{
		"another session": dispatch.WithSessionKey(t.Context(), "t", "7"), "another request": dispatch.WithSessionKey(t.Context(), "s", "8"),
		"an operator": dispatch.WithOperatorKey(t.Context(), "s", "7"), "an identity": dispatch.WithIdempotencyKey(t.Context(), "7"),
	} {
		if other := keyOf(ctx, &dispatch.Identity{Subject: "s"}); other.Name == key.Name {
			t.Errorf("%s has the session's key", what)
		}
	}
}
