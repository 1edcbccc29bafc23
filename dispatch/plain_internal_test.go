package dispatch

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

type (
	plainNote struct {
		Text    string   `json:"text"`
		Count   int64    `json:"count,omitempty"`
		Share   float64  `json:"share"`
		Tags    []string `json:"tags"`
		Raw     []byte   `json:"raw"`
		Inner   plainPart
		Parts   []plainPart `json:"parts"`
		Quoted  uint64      `json:"quoted,string"`
		Left    bool        `json:"-"`
		private func()
	}
	plainPart struct {
		A uint8
		B float32
	}
	plainEndless []plainEndless
	plainOwn     string
	plainOwnPtr  struct{ N int }
)

func (plainOwn) MarshalText() ([]byte, error)     { return []byte("own"), nil }
func (*plainOwnPtr) UnmarshalJSON(b []byte) error { return nil }

func TestPlain(t *testing.T) {
	_ = plainNote{private: nil}
	for _, c := range []struct {
		value any
		want  bool
	}{
		{None{}, true},
		{"", true},
		{1, true},
		{plainNote{}, true},
		{[]plainPart{}, true},
		{json.Number("1"), false},
		{json.RawMessage("{}"), false},
		{time.Time{}, false},
		{plainOwn(""), false},
		{plainOwnPtr{}, false},
		{struct{ At time.Time }{}, false},
		{struct{ P *int }{}, false},
		{struct{ plainPart }{}, false},
		{struct{ V any }{}, false},
		{map[string]int{}, false},
		{[3]int{}, false},
		{plainEndless{}, false},
		{make(chan int), false},
	} {
		if got := plain(reflect.TypeOf(c.value)); got != c.want {
			t.Errorf("plain(%T) is %v", c.value, got)
		}
	}
}

// TestPlainArgumentsNeedNoCheck: what the check would have said of them is nothing.
func TestPlainArgumentsNeedNoCheck(t *testing.T) {
	d := newDecoder[plainNote](Info{})
	if !d.fits(reflect.TypeFor[plainNote]()) || d.fits(reflect.TypeFor[*plainNote]()) || d.fits(nil) {
		t.Fatal("a note, and nothing else, fits")
	}
	rapid.Check(t, func(t *rapid.T) {
		note := plainNote{
			Text:   string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")), // UTF-8 or not
			Count:  rapid.Int64().Draw(t, "count"),
			Share:  rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "share"),
			Tags:   rapid.SliceOf(rapid.String()).Draw(t, "tags"),
			Raw:    rapid.SliceOf(rapid.Byte()).Draw(t, "raw"),
			Inner:  plainPart{rapid.Uint8().Draw(t, "a"), rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32).Draw(t, "b")},
			Parts:  rapid.SliceOf(rapid.Just(plainPart{})).Draw(t, "parts"),
			Quoted: rapid.Uint64().Draw(t, "quoted"),
		}
		call := newCall("notes:add", note)
		if valid := utf8.ValidString(note.Text); valid != (call.err == nil) {
			t.Fatalf("UTF-8 %v: %v", valid, call.err)
		} else if !valid {
			return
		}
		if err := d.check(d.normal(call.args)); err != nil {
			t.Fatalf("%s: %v", call.args, err)
		}
	})
	var none []plainPart
	ds := newDecoder[[]plainPart](Info{})
	if err := ds.check(ds.normal(newCall("notes:add", none).args)); err != nil {
		t.Error(err)
	}
	if call := newCall("notes:add", plainNote{Share: math.Inf(1)}); call.err == nil {
		t.Error(fmt.Sprint("infinity is encoded: ", call))
	}
}
