package dispatch_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

type inner struct {
	B bool `json:"b"`
}

type payload struct {
	N     int            `json:"n"`
	Small uint8          `json:"small"`
	F     float64        `json:"f"`
	S     string         `json:"s"`
	List  []inner        `json:"list"`
	Map   map[string]int `json:"map"`
	Raw   []byte         `json:"raw"`
	At    time.Time      `json:"at"`
	In    *inner         `json:"in"`
}

// checkerOf registers a mutation of the argument type and returns its CheckArgs.
func checkerOf[A any]() func(json.RawMessage) error {
	reg := dispatch.NewRegistry()
	handleNothing[A](reg, "a:b")
	fn, _ := reg.Lookup("a:b")
	return fn.CheckArgs
}

func TestArgumentsAreDecodedStrictly(t *testing.T) {
	object, id, number := checkerOf[payload](), checkerOf[storage.ID[payload]](), checkerOf[int]()
	anything := checkerOf[any]()
	list, pointer, nothing := checkerOf[[]string](), checkerOf[*payload](), checkerOf[none]()
	for _, tt := range []struct {
		name  string
		check func(json.RawMessage) error
		args  string
		want  string // "" means accepted
	}{
		{"absent", object, ``, ""},
		{"blank", object, " \n", ""},
		{"null", object, `null`, ""},
		{"empty", object, `{}`, ""},
		{"every field", object, `{"n":1,"small":255,"f":1.5,"s":"x","list":[{"b":true}],"map":{"k":1},"raw":"AA==","at":"2026-01-02T03:04:05Z","in":{"b":false}}`, ""},
		{"blanks around", object, " {\"n\":1}\n", ""},
		{"null field", object, `{"n":null}`, ""},
		{"string for number", object, `{"n":"1"}`, `args: field "n": want number, got string`},
		{"fraction for integer", object, `{"n":1.5}`, `args: field "n": want integer of type int, got number 1.5`},
		{"out of range", object, `{"small":256}`, `args: field "small": want integer of type uint8, got number 256`},
		{"boolean for float", object, `{"f":true}`, `args: field "f": want number, got boolean`},
		{"number for string", object, `{"s":1}`, `args: field "s": want string, got number`},
		{"object for array", object, `{"list":{}}`, `args: field "list": want array, got object`},
		{"array for object", object, `{"map":[]}`, `args: field "map": want object, got array`},
		{"as many as an array has", checkerOf[[2]int](), `[1,2]`, ""},
		{"more than an array has room for", checkerOf[[2]int](), `[1,2,3]`, `args: want array of 2 elements, got another number of them`},
		{"fewer, inside", checkerOf[struct {
			Pair [2]int `json:"pair"`
		}](), `{"pair":[1]}`, `args: field "pair": want array of 2 elements, got another number of them`},
		{"inside an array", object, `{"list":[{"b":1}]}`, `args: field "list.0.b": want boolean, got number`},
		{"inside a pointer", object, `{"in":{"b":"x"}}`, `args: field "in.b": want boolean, got string`},
		{"number for bytes", object, `{"raw":1}`, `args: field "raw": want base64 string, got number`},
		{"unknown field", object, `{"x":1}`, `args: unknown field "x"`},
		{"unknown field inside", object, `{"in":{"x":1}}`, `args: unknown field "x"`},
		{"array for the whole", object, `[]`, `args: want object, got array`},
		{"string for the whole", object, `"x"`, `args: want object, got string`},
		{"second value", object, `{} {}`, `args: more than one JSON value`},
		{"trailing garbage", object, `{}x`, `args: more than one JSON value`},
		{"cut off", object, `{"n":`, `args: not JSON: unexpected end`},
		{"not JSON", object, `{n:1}`, `args: not JSON at byte 2: invalid character 'n' looking for beginning of object key string`},
		{"name in another case", object, `{"N":1}`, `args: unknown field "N"`},
		{"name in another case inside", object, `{"in":{"B":true}}`, `args: unknown field "B"`},
		{"name with a Kelvin sign", checkerOf[struct {
			Key int `json:"key"`
		}](), "{\"\u212aey\":1}", "args: unknown field \"\u212aey\""},
		{"name twice", object, `{"n":1,"s":"","n":2}`, `args: field "n" stands twice`},
		{"name twice in a value of any type", anything, `{"a":{"k":1,"k":2}}`, `args: field "k" stands twice`},
		{"no UTF-8", object, "{\"s\":\"\xff\"}", "args: not JSON at byte 7: invalid UTF-8"},
		{"no UTF-8 in a value of any type", anything, "{\"s\":\"\xff\"}", "args: not JSON at byte 7: invalid UTF-8"},
		{"a pair of surrogates", object, `{"s":"\ud83d\ude00"}`, ""},
		{"character beyond ASCII", object, `{“n”:1}`, `args: not JSON at byte 2: invalid character '“' looking for beginning of object key string`},
		{"id", id, `"x"`, ""},
		{"absent id", id, ``, `args: want string, got object`},
		{"null id", id, `null`, `args: want string, got null`},
		{"number", number, `7`, ""},
		{"null number", number, ` null `, `args: want number, got null`},
		{"second number", number, `7 8`, `args: more than one JSON value`},
		{"list", list, `["a"]`, ""},
		{"null list", list, `null`, ""},
		{"absent list", list, ``, ""},
		{"object for list", list, `{}`, `args: want array, got object`},
		{"null pointer", pointer, `null`, ""},
		{"none", nothing, `{}`, ""},
		{"none from null", nothing, `null`, ""},
		{"none from blanks", nothing, `{ }`, ""},
		{"none with a field", nothing, `{"x":1}`, `args: unknown field "x"`},
		{"none from array", nothing, `[]`, `args: want object, got array`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.check(json.RawMessage(tt.args))
			if tt.want == "" {
				mustDo(t, err)
				return
			}
			wantError(t, err, dispatch.CodeInvalidArgument, tt.want)
			if !dispatch.IsPermanent(err) {
				t.Error("arguments that do not decode are worth no retry")
			}
		})
	}
}

func TestArgumentsNestAtMostMaxDepth(t *testing.T) {
	check := checkerOf[any]()
	nested := func(n int) json.RawMessage {
		return json.RawMessage(strings.Repeat("[", n) + strings.Repeat("]", n))
	}
	mustDo(t, check(nested(dispatch.MaxDepth)))
	wantError(t, check(nested(dispatch.MaxDepth+1)), dispatch.CodeInvalidArgument, "args: nested deeper than 64 levels")
	mustDo(t, check(json.RawMessage(`["`+strings.Repeat(`[\"`, 100)+`"]`)))
	wantError(t, check(json.RawMessage(`{"a":`+strings.Repeat(`{"a":`, dispatch.MaxDepth))),
		dispatch.CodeInvalidArgument, "args: nested deeper than 64 levels")
}

type panicky struct{}

func (*panicky) UnmarshalJSON([]byte) error { panic("boom") }

func TestAPanicInUnmarshalJSONIsAnError(t *testing.T) {
	wantError(t, checkerOf[panicky]()(json.RawMessage(`1`)), dispatch.CodeInternal, "internal error")
}

type picky struct{}

func (*picky) UnmarshalJSON([]byte) error { return errors.New("want a colour") }

func TestAnErrorOfUnmarshalJSONIsTold(t *testing.T) {
	wantError(t, checkerOf[picky]()(json.RawMessage(`1`)), dispatch.CodeInvalidArgument, "args: want a colour")
}

func TestArgumentsOverTheLimitAreRefused(t *testing.T) {
	reg := dispatch.NewRegistry()
	handleNothing[string](reg, "a:b")
	fn, _ := reg.Lookup("a:b")
	for _, tt := range []struct {
		limits dispatch.Limits
		limit  int
	}{
		{dispatch.Limits{}, 1 << 20},
		{dispatch.Limits{Args: 10}, 10},
	} {
		fits := json.RawMessage(`"` + strings.Repeat("x", tt.limit-2) + `"`)
		over := json.RawMessage(`"` + strings.Repeat("x", tt.limit-1) + `"`)
		_, _, err := reg.Schedulable(dispatch.Path("a:b").With(fits), tt.limits)
		mustDo(t, err)
		env := dispatch.Env{Registry: reg, Limits: tt.limits}
		_, err = fn.RunMutation(env, noWriter(), fits)
		mustDo(t, err)

		_, _, err = reg.Schedulable(dispatch.Path("a:b").With(over), tt.limits)
		if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeResourceExhausted {
			t.Errorf("scheduling %d bytes with the limit %d: %v", len(over), tt.limit, err)
		}
		_, err = fn.RunMutation(env, noWriter(), over)
		if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeResourceExhausted {
			t.Errorf("running %d bytes with the limit %d: %v", len(over), tt.limit, err)
		}
	}
}

func TestSchedulableStoresArgumentsInTheirNormalForm(t *testing.T) {
	reg := dispatch.NewRegistry()
	handleNothing[payload](reg, "a:object")
	handleNothing[[]string](reg, "a:list")
	handleNothing[none](reg, "a:none")
	for _, tt := range []struct {
		call dispatch.Call
		want string
	}{
		{dispatch.Path("a:object").With(nil), `{}`},
		{dispatch.Path("a:object").With(json.RawMessage(nil)), `{}`},
		{dispatch.Path("a:object").With(json.RawMessage(`null`)), `{}`},
		{dispatch.Path("a:object").With((*payload)(nil)), `{}`},
		{dispatch.Path("a:none").With(none{}), `{}`},
		{dispatch.Path("a:list").With([]string(nil)), `null`},
		{dispatch.Path("a:list").With([]string{"a"}), `["a"]`},
	} {
		_, raw, err := reg.Schedulable(tt.call, dispatch.Limits{})
		mustDo(t, err)
		if string(raw) != tt.want {
			t.Errorf("%v is stored as %s, want %s", tt.call, raw, tt.want)
		}
	}
}

// Arguments of Go values are what was given, or refused: text that is not UTF-8 is not
// replaced.
func TestArgumentsThatAreNotUTF8AreRefused(t *testing.T) {
	type deep struct {
		Names map[string][]string `json:"names"`
	}
	for name, tt := range map[string]struct {
		args any
		want string // "": an error
	}{
		"a string":                {"\xff", ""},
		"inside":                  {deep{map[string][]string{"a": {"b", "c\xc3"}}}, ""},
		"a key":                   {deep{map[string][]string{"a\xff": nil}}, ""},
		"half a surrogate pair":   {"\xed\xa0\x80", ""},
		"a replacement character": {"\ufffd", `"` + "\ufffd" + `"`},
		"its escape, in raw JSON": {json.RawMessage(`"\ufffd"`), `"\ufffd"`},
		"and inside":              {map[string]json.RawMessage{"a": json.RawMessage(`"\ufffd"`)}, `{"a":"\ufffd"}`},
		"text with a backslash":   {`\ufffd`, `"\\ufffd"`},
	} {
		raw, err := dispatch.Path("a:b").With(tt.args).Args()
		if string(raw) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, raw, err, tt.want)
		}
		if err != nil && (dispatch.AsError(err).Code != dispatch.CodeInvalidArgument || !dispatch.IsPermanent(err)) {
			t.Errorf("%s: %v is %s, permanent %v", name, err, dispatch.AsError(err).Code, dispatch.IsPermanent(err))
		}
	}
}
