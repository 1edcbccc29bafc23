package jsonschema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"carillon/internal/jsonschema"
	"carillon/internal/strictjson"
)

type (
	scalars struct {
		B   bool
		S   string `json:"s"`
		I   int
		I8  int8  `json:"i8,omitempty"`
		I64 int64 `json:"i64,string"`
		U   uint
		U16 *uint16 `json:",omitzero"`
		F   float64
		F32 float32
		N   json.Number
		Out int `json:"-"`
	}
	quoted struct {
		B  bool    `json:",string"`
		S  string  `json:",string"`
		I8 int8    `json:",string"`
		F  float64 `json:",string"`
		P  *int    `json:",string"`
		//lint:ignore SA5008 encoding/json takes it, and it has no meaning
		L []int    `json:",string"`
		T kindText `json:",string"`
	}
	lists struct {
		L  []string
		B  []byte
		Bs [][]byte
		A  [2]int
		AB [2]byte
		E  [0]int
		M  map[string]int
		MI map[int8]string
		MU map[uint]*string
		MT map[netip.Addr]bool
		R  json.RawMessage
		X  any
		T  time.Time
		PT *time.Time `json:"pt,omitempty"`
		D  time.Duration
		IP netip.Addr
		P  **int
	}
	tree struct {
		Name string
		Sub  []tree           `json:",omitempty"`
		By   map[string]*tree `json:"by"`
		Next *tree
	}
	forest      []forest
	maze        map[string]maze
	kindText    string
	octets      []byte
	generic     [2]page[scalars]
	page[T any] struct {
		Items []T
		Next  string `json:",omitempty"`
	}
	base struct {
		ID   string
		Name string
	}
	deep  struct{ Name, Deep string }
	mixed struct {
		base
		*Shallow
		deep `json:"named"`
		Kind kindText
		Name int // before that of base
	}
	Shallow  struct{ Only int }
	conflict struct {
		base
		deep
	}
	looped struct {
		*Looped
		A int
	}
	Looped struct {
		*Looped
		B int
	}
	own     struct{ text string }
	written struct{ N int }
	withOwn struct {
		O own
		W written
	}
)

func (o *own) UnmarshalJSON(raw []byte) error { o.text = string(raw); return nil }
func (o own) MarshalJSON() ([]byte, error) {
	return []byte(`{"any":[1,null,` + strconv.Quote(o.text) + `]}`), nil
}

func (w written) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(w.N), 10), nil }

// types are those that the tests are of.
var types = []reflect.Type{
	reflect.TypeFor[scalars](), reflect.TypeFor[quoted](), reflect.TypeFor[lists](), reflect.TypeFor[tree](), reflect.TypeFor[forest](),
	reflect.TypeFor[maze](), reflect.TypeFor[octets](), reflect.TypeFor[generic](), reflect.TypeFor[mixed](), reflect.TypeFor[conflict](),
	reflect.TypeFor[looped](), reflect.TypeFor[withOwn](), reflect.TypeFor[*tree](), reflect.TypeFor[int32](), reflect.TypeFor[map[uint8][]tree](), reflect.TypeFor[struct{}](),
}

// schemaOf makes the schema of the type, and a validator of it.
func schemaOf(tb testing.TB, t reflect.Type, encoded bool) (map[string]any, *validate.Schema) {
	tb.Helper()
	m := jsonschema.Maker{Refs: "#/$defs/", Encoded: encoded}
	text, err := json.Marshal(m.Document(m.Of(t)))
	if err != nil {
		tb.Fatal(err)
	}
	doc := mustParse(tb, string(text))
	c := validate.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("mem:///schema", doc); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Compile("mem:///schema")
	if err != nil {
		tb.Fatalf("%v: %v\n%s", t, err, text)
	}
	return doc.(map[string]any), s
}

func mustParse(tb testing.TB, text string) any {
	tb.Helper()
	v, err := validate.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

// fill makes a random value.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	few := r.IntN(3)
	if depth > 4 {
		few = 0
	}
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(r.Int64N(1e10), r.Int64N(1e9)).In(time.FixedZone("", r.IntN(20000)/60*60))))
		return
	case reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{byte(r.Uint32())})))
		return
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(someJSON[r.IntN(len(someJSON))]))
		return
	case reflect.TypeFor[json.Number]():
		v.SetString([]string{"", "1", "-1.5e3"}[r.IntN(3)])
		return
	case reflect.TypeFor[own]():
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(few == 0)
	case reflect.String:
		v.SetString(randomText(r))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> (64 - v.Type().Bits()) >> (r.IntN(2) * 60))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(float32(r.NormFloat64() * 1e9)))
	case reflect.Pointer:
		if few > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth+1)
		}
	case reflect.Slice:
		if r.IntN(4) > 0 {
			v.Set(reflect.MakeSlice(v.Type(), few, few))
			for i := range few {
				fill(r, v.Index(i), depth+1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Map:
		if r.IntN(4) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range few {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fill(r, key, depth+1)
				fill(r, value, depth+1)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(r, f, depth+1)
			} else if v.Type().Field(i).Anonymous && f.Kind() == reflect.Struct {
				f = reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()
				fill(r, f, depth+1)
			}
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"x": []any{nil, 1.5, "y"}}))
	}
}

func randomText(r *rand.Rand) string {
	return []string{"", "a", "é\"\\\n", "\u2028<", "null", "12", "zz"}[r.IntN(7)]
}

// someJSON are values that others give way to. None is what the decoder takes and the schema
// does not have: an array that may stand for bytes.
var someJSON = []string{`null`, `true`, `0`, `-1`, `1.5`, `200`, `70000`, `5000000000`, `1e30`, `""`, `"a"`, `"12"`, `"1.5"`, `"true"`, `"null"`, `"01"`, `"+1"`, `"-0"`, `"-01"`, `"-1e5"`, `" 1"`, `"\"q\""`, `"AAAA"`, `"AA"`, `{}`, `{"zz":1}`, `["x"]`, `"2026-01-02T03:04:05Z"`, `"2026-01-02t03:04:05z"`, `"2026-01-02T03:04:60Z"`}

// mutate changes one place of the value.
func mutate(r *rand.Rand, v any) any {
	if r.IntN(3) > 0 {
		switch v := v.(type) {
		case map[string]any:
			if names := slices.Sorted(maps.Keys(v)); len(names) > 0 && r.IntN(5) > 0 {
				name := names[r.IntN(len(names))]
				if r.IntN(8) == 0 {
					delete(v, name)
				} else {
					v[name] = mutate(r, v[name])
				}
				return v
			}
			v[[]string{"zz", "1", "-7", "01", "a", "+1", "-0", "-01", "1.0", " 1", "1e1"}[r.IntN(11)]] = json.RawMessage(someJSON[r.IntN(len(someJSON))])
			return v
		case []any:
			if len(v) > 0 {
				i := r.IntN(len(v))
				v[i] = mutate(r, v[i])
				return v
			}
		}
	}
	return json.RawMessage(someJSON[r.IntN(len(someJSON))])
}

// TestSchemasAreOfWhatIsEncoded: what encoding/json makes of random values fits both schemas, and
// the decoder takes it.
func TestSchemasAreOfWhatIsEncoded(t *testing.T) {
	for n, typ := range types {
		_, out := schemaOf(t, typ, true)
		_, in := schemaOf(t, typ, false)
		r := rand.New(rand.NewPCG(uint64(n), 1))
		for range 100 {
			v := reflect.New(typ)
			fill(r, v.Elem(), 0)
			text, err := json.Marshal(v.Elem().Interface())
			if err != nil {
				t.Fatalf("%v: %v", typ, err)
			}
			instance := mustParse(t, string(text))
			if err := out.Validate(instance); err != nil {
				t.Fatalf("%v is encoded as %s: %v", typ, text, err)
			}
			if typ == reflect.TypeFor[withOwn]() {
				continue // W is written otherwise than it is read
			}
			if err := in.Validate(instance); err != nil {
				t.Fatalf("%v is given as %s: %v", typ, text, err)
			}
			if err := strictjson.Decode(text, reflect.New(typ).Interface()); err != nil {
				t.Fatalf("%v: %s does not decode: %v", typ, text, err)
			}
		}
	}
}

// TestSchemasAreOfWhatIsDecoded: random changes of what fits are taken by the schema if, and only
// if, the decoder takes them.
func TestSchemasAreOfWhatIsDecoded(t *testing.T) {
	for n, typ := range types {
		_, in := schemaOf(t, typ, false)
		r := rand.New(rand.NewPCG(uint64(n), 2))
		var taken, refused int
		for range 400 {
			v := reflect.New(typ)
			fill(r, v.Elem(), 0)
			text, err := json.Marshal(v.Elem().Interface())
			if err != nil {
				t.Fatal(err)
			}
			text, err = json.Marshal(mutate(r, mustParse(t, string(text))))
			if err != nil {
				t.Fatal(err)
			}
			decoded := strictjson.Decode(text, reflect.New(typ).Interface())
			if decoded != nil && strings.Contains(decoded.Error(), "ParseAddr") {
				continue // of the type's own method
			}
			fits := in.Validate(mustParse(t, string(text)))
			if (decoded == nil) != (fits == nil) {
				t.Errorf("%v: %s\n\tdecoded: %v\n\tvalidated: %v", typ, text, decoded, fits)
				break
			}
			if fits == nil {
				taken++
			} else {
				refused++
			}
		}
		if taken < 5 || refused < 5 && typ != reflect.TypeFor[withOwn]() {
			t.Errorf("%v: %d taken, %d refused", typ, taken, refused)
		}
	}
}

// made makes a JSON value that the schema takes.
func made(r *rand.Rand, doc, s map[string]any, depth int) any {
	if ref, ok := s["$ref"].(string); ok {
		return made(r, doc, doc["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), depth)
	}
	if choice, ok := s["anyOf"].([]any); ok {
		i := r.IntN(len(choice))
		if depth > 5 {
			i = len(choice) - 1 // null
		}
		return made(r, doc, choice[i].(map[string]any), depth)
	}
	if enum, ok := s["enum"].([]any); ok {
		return enum[r.IntN(len(enum))]
	}
	var kinds []any
	switch kind := s["type"].(type) {
	case string:
		kinds = []any{kind}
	case []any:
		kinds = kind
	default:
		return json.RawMessage(someJSON[r.IntN(len(someJSON))])
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(fmt.Sprint(s[name]), 10, 64)
		if err != nil {
			n = 1 << 62
		}
		return n
	}
	switch kind := kinds[r.IntN(len(kinds))]; kind {
	case "null":
		return nil
	case "boolean":
		return r.IntN(2) == 0
	case "integer":
		return []int64{number("minimum"), 0, number("maximum")}[r.IntN(3)]
	case "number":
		return r.NormFloat64()
	case "string":
		switch pattern := fmt.Sprint(s["pattern"]); {
		case s["format"] == "date-time":
			return time.Unix(r.Int64N(1e10), r.Int64N(1e9)).UTC()
		case s["contentEncoding"] == "base64":
			return []byte(randomText(r))
		case strings.Contains(pattern, `"`):
			return strconv.Quote("a")
		case pattern != "<nil>":
			return strconv.Itoa(r.IntN(100))
		}
		return randomText(r)
	case "array":
		out := []any{}
		n := r.IntN(3)
		if s["minItems"] != nil {
			n = int(number("minItems")) // it is that of a Go array
		}
		for range n {
			out = append(out, made(r, doc, s["items"].(map[string]any), depth+1))
		}
		return out
	default:
		out := map[string]any{}
		properties, _ := s["properties"].(map[string]any)
		for name, p := range properties {
			if r.IntN(2) == 0 {
				out[name] = made(r, doc, p.(map[string]any), depth+1)
			}
		}
		if more, ok := s["additionalProperties"].(map[string]any); ok && depth < 5 {
			out[strconv.Itoa(r.IntN(100))] = made(r, doc, more, depth+1)
		}
		return out
	}
}

// TestWhatIsMadeOfASchemaIsDecoded: random values of a schema, made of it alone, are taken by the
// decoder. A text of a type that reads its own is none.
func TestWhatIsMadeOfASchemaIsDecoded(t *testing.T) {
	for n, typ := range types {
		if typ == reflect.TypeFor[lists]() {
			typ = reflect.TypeFor[struct {
				L  []string
				B  []byte
				A  [2]int
				MI map[int8]string
				MU map[uint]*string
				R  json.RawMessage
				T  time.Time
				D  time.Duration
				P  **int
			}]()
		}
		doc, in := schemaOf(t, typ, false)
		r := rand.New(rand.NewPCG(uint64(n), 3))
		for range 150 {
			text, err := json.Marshal(made(r, doc, doc, 0))
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Validate(mustParse(t, string(text))); err != nil {
				t.Fatalf("%v: the test is at fault: %s: %v", typ, text, err)
			}
			if err := strictjson.Decode(text, reflect.New(typ).Interface()); err != nil {
				t.Fatalf("%v: %s does not decode: %v", typ, text, err)
			}
		}
	}
}

// TestSchemaOfATree shows what a schema looks like.
func TestSchemaOfATree(t *testing.T) {
	for _, tt := range []struct {
		typ  reflect.Type
		out  bool
		want string
	}{
		{reflect.TypeFor[tree](), true, `{"$schema":"https://json-schema.org/draft/2020-12/schema","$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"Name":{"type":"string"},"Sub":{"type":["array","null"],"items":{"$ref":"#/$defs/tree"}},"by":{"type":["object","null"],"additionalProperties":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]}},"Next":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]}},"required":["Name","by","Next"]}}}`},
		{reflect.TypeFor[page[kindText]](), false, `{"$schema":"https://json-schema.org/draft/2020-12/schema","anyOf":[{"$ref":"#/$defs/page_kindText"},{"type":"null"}],"$defs":{"page_kindText":{"type":"object","properties":{"Items":{"type":["array","null"],"items":{"type":["string","null"]}},"Next":{"type":["string","null"]}},"additionalProperties":false}}}`},
		{reflect.TypeFor[func()](), true, `{"$schema":"https://json-schema.org/draft/2020-12/schema","not":{}}`},
	} {
		m := jsonschema.Maker{Refs: "#/$defs/", Encoded: tt.out}
		got, err := json.Marshal(m.Document(m.Of(tt.typ)))
		if err != nil || !bytes.Equal(got, []byte(tt.want)) {
			t.Errorf("%v: %s, %v", tt.typ, got, err)
		}
	}
}
