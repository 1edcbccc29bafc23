package dispatch_test

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"carillon/dispatch"
)

// D6.
func TestIdentityHasTheSameClaimsAtTheRequestAndAtTheRun(t *testing.T) {
	given := &dispatch.Identity{Subject: "ada", Claims: map[string]any{
		"name": "Ada <a@b>", "admin": true, "age": 36, "roles": []string{"x", "y"},
		"org": struct {
			ID int `json:"id"`
		}{7}, "none": nil, "raw": json.RawMessage(`{"k":[1.5]}`),
	}}
	request, err := given.Normalize()
	mustDo(t, err)
	want := &dispatch.Identity{Subject: "ada", Claims: map[string]any{
		"name": "Ada <a@b>", "admin": true, "age": 36.0, "roles": []any{"x", "y"},
		"org": map[string]any{"id": 7.0}, "none": nil, "raw": map[string]any{"k": []any{1.5}},
	}}
	if !reflect.DeepEqual(request, want) {
		t.Errorf("normal form %#v\nwant %#v", request, want)
	}
	stored, err := dispatch.EncodeIdentity(request)
	mustDo(t, err)
	run, err := dispatch.DecodeIdentity(stored)
	mustDo(t, err)
	if !reflect.DeepEqual(run, request) {
		t.Errorf("at the run %#v\nat the request %#v", run, request)
	}
}

func TestNobodyStaysNobody(t *testing.T) {
	var nobody *dispatch.Identity
	if id, err := nobody.Normalize(); id != nil || err != nil {
		t.Errorf("normal form of nobody: %v, %v", id, err)
	}
	if data, err := dispatch.EncodeIdentity(nil); data != nil || err != nil {
		t.Errorf("encoded nobody: %s, %v", data, err)
	}
	if id, err := dispatch.DecodeIdentity(nil); id != nil || err != nil {
		t.Errorf("decoded nobody: %v, %v", id, err)
	}
}

func TestIdentityIsBounded(t *testing.T) {
	frame := len(`{"subject":"a","claims":{"c":""}}`)
	sized := func(n int) *dispatch.Identity {
		return &dispatch.Identity{Subject: "a", Claims: map[string]any{"c": strings.Repeat("x", n-frame)}}
	}
	data, err := dispatch.EncodeIdentity(sized(dispatch.MaxIdentity))
	mustDo(t, err)
	if len(data) != dispatch.MaxIdentity {
		t.Fatalf("the test makes %d bytes", len(data))
	}
	_, err = dispatch.DecodeIdentity(data)
	mustDo(t, err)
	_, err = sized(dispatch.MaxIdentity).Normalize()
	mustDo(t, err)

	over := "identity: 65537 bytes, the limit is 65536"
	_, err = dispatch.EncodeIdentity(sized(dispatch.MaxIdentity + 1))
	wantError(t, err, dispatch.CodeResourceExhausted, over)
	_, err = sized(dispatch.MaxIdentity + 1).Normalize()
	wantError(t, err, dispatch.CodeResourceExhausted, over)
	_, err = dispatch.DecodeIdentity(append(data, ' '))
	wantError(t, err, dispatch.CodeResourceExhausted, over)
	_, err = (&dispatch.Identity{Subject: strings.Repeat("<", dispatch.MaxIdentity)}).Normalize()
	if dispatch.AsError(err) == nil {
		t.Error("a subject of 64 KiB is accepted")
	}
}

func TestBadIdentitiesAreRefused(t *testing.T) {
	_, err := dispatch.EncodeIdentity(&dispatch.Identity{})
	wantError(t, err, dispatch.CodeInvalidArgument, "identity: the subject is empty")
	_, err = (&dispatch.Identity{}).Normalize()
	wantError(t, err, dispatch.CodeInvalidArgument, "identity: the subject is empty")
	_, err = dispatch.EncodeIdentity(&dispatch.Identity{Subject: "a", Claims: map[string]any{"x": math.Inf(1)}})
	wantError(t, err, dispatch.CodeInvalidArgument, "identity: the claims cannot be encoded: unsupported value: +Inf")
	// Of two claims that are not UTF-8 encoding/json makes the same text.
	for _, claims := range []map[string]any{
		{"role": "adm\xff"}, {"r\xffle": "admin"}, {"roles": []string{"\xed\xa0\x80"}}, {"raw": json.RawMessage(`"\ud800"`)}, {"raw": json.RawMessage(`{"a":1,"a":2}`)},
	} {
		if id, err := (&dispatch.Identity{Subject: "a", Claims: claims}).Normalize(); dispatch.AsError(err) == nil || dispatch.AsError(err).Code != dispatch.CodeInvalidArgument {
			t.Errorf("the claims %q are taken for %v, %v", claims, id, err)
		}
	}
	for _, data := range []string{
		`{"Subject":"a"}`, `{"subject":"a","subject":"b"}`, `{"subject":"a","claims":{"x":1,"x":2}}`, "{\"subject\":\"a\xff\"}", `{"subject":"a\ud800"}`,
		`null`, `{}`, `{"subject":""}`, `[]`, `{"subject":"a","token":"t"}`, `{"subject":"a"}{}`, `{`,
	} {
		if id, err := dispatch.DecodeIdentity([]byte(data)); err == nil {
			t.Errorf("%s decodes to %v", data, id)
		}
	}
}

func TestABadIdentityFailsEveryRunOfTheCaller(t *testing.T) {
	caller := dispatch.NewCaller(context.Background(), invokerFunc(nil), &dispatch.Identity{})
	_, err := dispatch.Query[none, none]("a:b").Run(caller, none{})
	wantError(t, err, dispatch.CodeInvalidArgument, "identity: the subject is empty")
}

func TestAuthTellsWhoCalls(t *testing.T) {
	whoami := dispatch.Query[none, string]("a:whoami")
	reg := dispatch.NewRegistry()
	whoami.Handle(reg, func(ctx *dispatch.QueryCtx, _ none) (string, error) {
		id, err := ctx.Auth.Require()
		if again, ok := ctx.Auth.Identity(); ok != (err == nil) || again.Subject != id.Subject {
			t.Errorf("Identity is %v, %v, Require is %v, %v", again, ok, id, err)
		}
		if id.Claims != nil {
			id.Claims["role"] = "admin" // the caller's claims stay what they are
		}
		return id.Subject, err
	})
	fn, _ := reg.Lookup("a:whoami")
	ada := &dispatch.Identity{Subject: "ada", Claims: map[string]any{"role": "user"}}
	out, err := fn.RunQuery(dispatch.Env{Registry: reg, Identity: ada}, nil, nil)
	if string(out) != `"ada"` || err != nil {
		t.Errorf("signed in: %s, %v", out, err)
	}
	if ada.Claims["role"] != "user" {
		t.Error("a handler has changed the caller's claims")
	}
	_, err = fn.RunQuery(dispatch.Env{Registry: reg}, nil, nil)
	wantError(t, err, dispatch.CodeUnauthenticated, "sign in first")
}
