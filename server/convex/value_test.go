package convex_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"carillon/server/convex"
)

type inner struct {
	Big int64  `json:"big"`
	Raw []byte `json:"raw,omitempty"`
}

type whole struct {
	inner
	N      int64             `json:"n"`
	U      uint64            `json:"u"`
	I      int               `json:"i"`
	F      float64           `json:"f"`
	B      []byte            `json:"b"`
	PB     *[]byte           `json:"pb"`
	S      string            `json:"s"`
	Q      int64             `json:"q,string"`
	T      time.Time         `json:"t"`
	D      time.Duration     `json:"d"`
	Any    any               `json:"any"`
	Raws   json.RawMessage   `json:"raws"`
	M      map[string]int64  `json:"m"`
	L      [][]byte          `json:"l"`
	Next   *whole            `json:"next"`
	Number json.Number       `json:"number"`
	Kids   map[string]*whole `json:"kids,omitempty"`
}

const (
	one   = `{"$integer":"AQAAAAAAAAA="}`
	large = `{"$integer":"AQAAAAAAIAA="}` // 2⁵³+1
)

// TestValuesAreOfTheirDeclaredType: an int64 is a BigInt however small it is, and bytes are an
// ArrayBuffer; what has no declaration is by its value.
func TestValuesAreOfTheirDeclaredType(t *testing.T) {
	raws := `[1,9007199254740993,-9007199254740992,1.5,1e300,100000000000000000000,"x",null,true]`
	v := whole{
		inner: inner{Big: 1, Raw: []byte{0xff}}, N: 1, U: 1, I: 1, F: 100000000000000000, B: []byte("hi"), S: "aGk=", Q: 1, D: 1,
		T: time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC), Any: map[string]any{"a<": 1 << 53}, Raws: json.RawMessage(raws), M: map[string]int64{"x y": 1}, L: [][]byte{{1}, nil},
		Next: &whole{N: 1<<53 + 1, Any: int64(1<<53 + 1), Number: "7"}, Number: "9007199254740993",
	}
	raw, err := json.Marshal(&v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := convex.Value(raw, reflect.TypeFor[whole](), convex.Encoded)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"big":` + one + `,"raw":{"$bytes":"/w=="},"n":` + one + `,"u":` + one + `,"i":1,"f":100000000000000000,"b":{"$bytes":"aGk="},"pb":null,"s":"aGk=","q":"1",` +
		`"t":"2026-11-29T00:00:00Z","d":` + one + `,"any":{"a\u003c":9007199254740992},"raws":[1,` + large + `,-9007199254740992,1.5,1e300,100000000000000000000,"x",null,true],` +
		`"m":{"x y":` + one + `},"l":[{"$bytes":"AQ=="},{"$bytes":""}],"next":{`
	if !strings.HasPrefix(string(got), want) {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	for _, part := range []string{`"n":` + large + `,"u":`, `"any":` + large + `,`, `"number":` + large} {
		if !strings.Contains(string(got), part) {
			t.Errorf("%s is not in %s", part, got)
		}
	}
	// For people numbers of 64 bits are decimal text, bytes base64.
	got, err = convex.Value(json.RawMessage(`{"n":1,"b":"aGk=","i":9007199254740993}`), reflect.TypeFor[whole](), convex.Plain)
	if want := `{"n":"1","b":"aGk=","i":"9007199254740993"}`; err != nil || string(got) != want {
		t.Errorf("plain: %s %v, want %s", got, err, want)
	}
}

// TestWhatAClientCannotHold is refused, with where it is and why.
func TestWhatAClientCannotHold(t *testing.T) {
	for raw, want := range map[string]string{
		`{"é":1}`:             `.é: the name has the character 'é', and a client takes ASCII only`,
		`{"a":[{},{"$x":1}]}`: `.a[1].$x: names that begin with $ are the client's own`,
		`{"$integer":"x"}`:    `names that begin with $`,
		`{"a\u0000":1}`:       `the name has the character '\x00'`,
		`{"\u007f":1}`:        `the name has the character`,
		`{"__proto__":1}`:     `.__proto__: JavaScript has the name for itself`,
		`{"` + strings.Repeat("a", 1025) + `":1}`:                   `the name is longer than 1024 characters`,
		`[9223372036854775808]`:                                     `[0]: the number 9223372036854775808 is beyond the 64 bits that a BigInt has here`,
		strings.Repeat("[", 1001) + "1" + strings.Repeat("]", 1001): `it is nested deeper than 1000 levels`,
		`[1`: "not JSON", `[1 2]`: "not JSON", `{"a"}`: "not JSON", `"\`: "not JSON", ``: "not JSON", `1 2`: "not JSON", `{"a":1,}`: "not JSON", `nul`: "not JSON",
	} {
		if got, err := convex.Value(json.RawMessage(raw), nil, convex.Encoded); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %s, %v, want %s", raw, got, err, want)
		}
	}
	for _, raw := range []string{`{"` + strings.Repeat("a", 1024) + `":1}`, strings.Repeat("[", 1000) + "1" + strings.Repeat("]", 1000), ` { "a" : [ 1 , 2 ] } `, `{"":1}`} {
		if _, err := convex.Value(json.RawMessage(raw), nil, convex.Encoded); err != nil {
			t.Errorf("%.60s: %v", raw, err)
		}
	}
	if _, err := convex.Value(json.RawMessage(`{"u":18446744073709551615}`), reflect.TypeFor[whole](), convex.Encoded); err == nil || !strings.HasPrefix(err.Error(), ".u: the number") {
		t.Errorf("a uint64 beyond int64: %v", err)
	}
}

// TestArguments: each value comes to the function as the client has it, or is refused.
func TestArguments(t *testing.T) {
	const nan, inf, minus = `{"$float":"AAAAAAAA+H8="}`, `{"$float":"AAAAAAAA8H8="}`, `{"$float":"AAAAAAAAAIA="}`
	for _, tt := range []struct{ sent, want string }{
		{`{"n":` + large + `}`, `{"n":9007199254740993}`},
		{`{"n":1,"i":9007199254740992,"u":-9007199254740992}`, `{"n":1,"i":9007199254740992,"u":-9007199254740992}`},
		{`{"n":9007199254740993}`, `.n: JavaScript rounds numbers beyond ±2⁵³, such as 9007199254740993: send a BigInt`},
		{`{"i":99007199254740993}`, `.i: JavaScript rounds`},
		{`{"n":99999999999999999999}`, `.n: JavaScript rounds`},
		{`{"n":null,"any":9007199254740993,"f":9007199254740993}`, `{"n":null,"any":9007199254740993,"f":9007199254740993}`},
		{`{"n":{"$integer":"AAAAAAAAAIA="}}`, `{"n":-9223372036854775808}`},
		{`{"n":{"$integer":"AAAAAAAAAA=="}}`, `.n.$integer: it has 7 bytes, want 8`},
		{`{"n":{"$integer":1}}`, `.n.$integer: it is no base64`},
		{`{"n":{"$integer":"AQAAAAAAAAA"}}`, `.n.$integer: it is no base64`},
		{`{"f":` + one + `}`, `.f.$integer: a BigInt is no value of it: send a number`},
		{`{"any":` + one + `}`, `{"any":1}`},
		{`{"b":{"$bytes":"aGk="}}`, `{"b":"aGk="}`},
		{`{"b":"aGk="}`, `{"b":"aGk="}`},
		{`{"l":[{"$bytes":""}],"any":{"$bytes":"aGk="}}`, `{"l":[""],"any":"aGk="}`},
		{`{"b":{"$bytes":"a\nGk="}}`, `.b.$bytes: it is no base64`},
		{`{"b":{"$bytes":"aGl="}}`, `.b.$bytes: it is no base64`},
		{`{"s":{"$bytes":"aGk="}}`, `.s.$bytes: bytes are no value of it`},
		{`{"f":` + nan + `}`, `.f.$float: NaN is no value that JSON has`},
		{`{"any":[` + inf + `]}`, `.any[0].$float: +Inf is no value that JSON has`},
		{`{"f":` + minus + `}`, `{"f":-0}`},
		{`{"f":{"$float":"AAAAAAAA8D8="}}`, `.f.$float: only NaN`},
		{`{"f":{"$float":"AAAAAAAAAAA="}}`, `.f.$float: only NaN`},
		{`{"any":{"$integer":"AQAAAAAAAAA=","a":1}}`, `.a: names that begin with $`},
		{`{"any":{"a":1,"$integer":"AQAAAAAAAAA="}}`, `.any.$integer: names that begin with $`},
		{`{"any":{"$set":[]}}`, `.any.$set: names that begin with $`},
		{`{"any":{"$undefined":null}}`, `.any.$undefined: names that begin with $`},
		{`{"any":{"a\u003c":{"b":[true,false,null]}}}`, `{"any":{"a\u003c":{"b":[true,false,null]}}}`},
		{strings.Repeat("[", 1001), `nested deeper than 1000`},
	} {
		got, err := convex.Arguments(json.RawMessage(tt.sent), reflect.TypeFor[whole](), convex.Encoded)
		if err == nil && string(got) != tt.want || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: %s, %v, want %s", tt.sent, got, err, tt.want)
		}
	}
	got, err := convex.Arguments(json.RawMessage(`{"n":"-5","m":{"x":"9007199254740993"},"s":"5","i":"5","u":"x","d":"","q":"1"}`), reflect.TypeFor[whole](), convex.Plain)
	if want := `{"n":-5,"m":{"x":9007199254740993},"s":"5","i":"5","u":"x","d":"","q":"1"}`; err != nil || string(got) != want {
		t.Errorf("plain: %s %v, want %s", got, err, want)
	}
}

var instant convex.TS = 513

// TestParse: a call has one form, or is refused.
func TestParse(t *testing.T) {
	for body, want := range map[string]convex.Call{
		`{"path":"notes:list","format":"convex_encoded_json","args":[{"a":1}]}`: {Path: "notes:list", Format: convex.Encoded, Args: json.RawMessage(`{"a":1}`)},
		`{"path":"a/b.js:list","args":{}}`:                                      {Path: "a/b:list", Format: convex.Plain, Args: json.RawMessage(`{}`)},
		`{"path":"notes","format":"json","args":[]}`:                            {Path: "notes:default", Format: convex.Plain, Args: json.RawMessage(`{}`)},
		`{"path":"notes","args":null,"componentPath":null,"ts":"AQIAAAAAAAA="}`: {Path: "notes:default", Format: convex.Plain, Args: json.RawMessage(`{}`), TS: &instant},
	} {
		if got, err := convex.Parse([]byte(body)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for body, want := range map[string]string{
		``: "no JSON object", `[]`: "no JSON object", `{}`: "path is missing", `{"path":"a:b","x":1}`: `unknown`, `{"path":"a:b","path":"a:b"}`: "twice",
		`{"path":"a:b","format":"xml"}`: `format "xml", want convex_encoded_json or json`, `{"path":"a:b","componentPath":"c"}`: "no components",
		`{"path":"a:b","args":[{},{}]}`: "args is an array of 2", `{"path":"a:b","args":[1]}`: "args is no object", `{"path":"a:b","args":"x"}`: "args is no object", `{} {}`: "more than one", `{"path":"a:b","ts":"AQ=="}`: "no instant",
	} {
		if got, err := convex.Parse([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %s", body, got, err, want)
		}
	}
}

// FuzzValues: any JSON of any of the types that is a value comes back as it was when a client sends what it
// was given, and what it is given is what its decoder takes.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{
		`{"n":1,"f":-0,"b":"aGk=","any":[9007199254740993,{"a":"é"}],"m":{"x":-1},"next":{"i":5}}`, `{"$integer":"AQAAAAAAAAA="}`, `[1e5,-0,"\u0000\ud800"]`, ` {"a" : null}`, `{"a":{"$bytes":1}}`, `{"__proto__":[[]]}`,
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, typed bool) {
		raw := json.RawMessage(text)
		var of reflect.Type
		if typed {
			of = reflect.TypeFor[whole]()
			var v whole
			if json.Unmarshal(raw, &v) != nil || math.Signbit(v.F) && v.F == 0 {
				return
			}
			var err error
			if raw, err = json.Marshal(v); err != nil {
				return
			}
		}
		for _, format := range []convex.Format{convex.Encoded, convex.Plain} {
			value, err := convex.Value(raw, of, format)
			if err != nil || !json.Valid(raw) { // which is looked at before
				continue
			}
			if !json.Valid(value) {
				t.Fatalf("%s is no JSON, of %s", value, raw)
			}
			var v whole
			if format == convex.Plain && (!typed || json.Unmarshal(raw, &v) != nil || undeclared(&v)) {
				continue // a text may be a number then
			}
			back, err := convex.Arguments(value, of, format)
			if err != nil {
				t.Fatalf("%s of %s does not come back: %v", value, raw, err)
			}
			if typed {
				var v, again whole
				if json.Unmarshal(raw, &v) != nil || json.Unmarshal(back, &again) != nil {
					t.Fatalf("%s comes back as %s", raw, back)
				}
				noNilBytes(&v)
				noNilBytes(&again)
				if !reflect.DeepEqual(v, again) {
					t.Fatalf("%s comes back as %s", raw, back)
				}
			} else if got, want := compact(t, back), compact(t, raw); got != want {
				t.Fatalf("%s comes back as %s", want, got)
			}
		}
	})
}

// undeclared says whether a value has a part whose type is not declared.
func undeclared(v *whole) bool {
	if v == nil {
		return false
	}
	for _, kid := range v.Kids {
		if undeclared(kid) {
			return true
		}
	}
	return v.Any != nil || v.Raws != nil || undeclared(v.Next)
}

// noNilBytes puts empty bytes in the place of nil: an ArrayBuffer is never null.
func noNilBytes(v *whole) {
	if v == nil {
		return
	}
	if v.B == nil {
		v.B = []byte{}
	}
	if v.Raw == nil {
		v.Raw = []byte{}
	}
	for i := range v.L {
		if v.L[i] == nil {
			v.L[i] = []byte{}
		}
	}
	noNilBytes(v.Next)
	for _, kid := range v.Kids {
		noNilBytes(kid)
	}
}

func compact(t *testing.T, raw []byte) string {
	t.Helper()
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case ' ', '\t', '\n', '\r':
		case '"':
			start := i
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
			out.Write(raw[start : i+1])
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
