package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"carillon/client"
	"carillon/server/api"
)

// quoted is JSON of n bytes, a string.
func quoted(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }

func textOf(t *testing.T, a answer, err error) string {
	t.Helper()
	r, err := a.text(err)
	if err != nil {
		t.Fatal(err)
	}
	return r.Content[0].(*sdk.TextContent).Text
}

// TestAResultOfTheMostBytes: rows that fill a result to its last byte fit, and with one byte more the last
// of them does not; the same of one thing, and of a row.
func TestAResultOfTheMostBytes(t *testing.T) {
	rows := make([]json.RawMessage, 16)
	for i := range rows {
		rows[i] = quoted(4000)
	}
	left := maxWhole - len("[]") - len(rows)*4001
	full := append(rows[:len(rows):len(rows)], quoted(left-1)) // and its comma
	if n := fitting(full); n != len(full) {
		t.Errorf("%d of %d rows fit", n, len(full))
	}
	a := answer{rows: full, next: strings.Repeat("c", maxNext)}
	if text := textOf(t, a, nil); len(text) > MaxBytes || len(text) < MaxBytes-overhead {
		t.Errorf("%d bytes", len(text))
	}
	if n := fitting(append(rows[:len(rows):len(rows)], quoted(left))); n != len(rows) {
		t.Errorf("%d of %d rows fit, one of which is a byte too long", n, len(rows)+1)
	}
	for _, most := range []int{maxRow, maxWhole} {
		for _, over := range []int{0, 1} {
			thing := map[string]json.RawMessage{"a": quoted(most + over - len(`{"a":}`))}
			text, err := shown(thing, most)
			if cut := strings.Contains(string(text), `"cut"`); err != nil || len(text) > most || cut != (over > 0) {
				t.Errorf("%d bytes of %d: %d are shown, cut: %v, %v", most+over, most, len(text), cut, err)
			}
		}
	}
	// The longest error.
	for _, message := range []string{strings.Repeat("\u202e", 5000), strings.Repeat("<", 5000), strings.Repeat("\U000e0063", 5000)} {
		if text := textOf(t, answer{}, &client.Error{Code: api.CodeUnknown, Message: message}); len(text) > maxError+overhead {
			t.Errorf("an error of %d bytes", len(text))
		}
	}
	if text := textOf(t, answer{}, errors.New("no such thing")); !strings.Contains(text, `"code":"unknown","message":"no such thing"`) {
		t.Error(text)
	}
}

// TestEverythingIsCutThatIsTooLong: whatever the fields of a thing are, it is shown in the bytes that it
// may have, as an object with the same names.
func TestEverythingIsCutThatIsTooLong(t *testing.T) {
	many := map[string]string{}
	for i := range 40 {
		many[fmt.Sprintf("field%d", i)] = strings.Repeat("\x01", 1000)
	}
	elements := make([]int, 10000)
	for i := range elements {
		elements[i] = i
	}
	for name, thing := range map[string]any{
		"a text": map[string]string{"text": strings.Repeat("é", 50_000)}, "a list": map[string]any{"list": elements, "n": 1},
		"an object": map[string]any{"args": map[string]any{"inner": elements}}, "many fields": many,
		"no object": strings.Repeat("x", 10_000), "names that are long": map[string]int{strings.Repeat("n", 5000): 1},
	} {
		text, err := shown(thing, maxRow)
		var fields map[string]json.RawMessage
		if err != nil || len(text) > maxRow || json.Unmarshal(text, &fields) != nil || fields["cut"] == nil {
			t.Errorf("%s: %d bytes, %v: %.100s", name, len(text), err, text)
		}
	}
	text, err := shown(map[string]any{"list": elements}, 100)
	if want := `{"cut":{"list":"7 of 10000 elements, from both ends"},"list":[0,1,2,3,4,5,9999]}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

// TestAListSaysWhatIsLeft: of as many rows as a result may have none is left, and of one more, one, on
// the next page, if rows have names.
func TestAListSaysWhatIsLeft(t *testing.T) {
	rows := make([]api.Function, MaxRows+1)
	for i := range rows {
		rows[i].Path = fmt.Sprintf("a:%03d", i)
	}
	path, none := func(f *api.Function) string { return f.Path }, func(*api.Function) string { return "" }
	for _, tt := range []struct {
		rows       int
		name       func(*api.Function) string
		after      string
		want, left int
		next       string
	}{
		{MaxRows, path, "", MaxRows, 0, ""},
		{MaxRows + 1, path, "", MaxRows, 1, "a:099"},
		{MaxRows + 1, path, "a:099", 1, 0, ""},
		{MaxRows + 1, path, "b", 0, 0, ""},
		{MaxRows + 1, none, "", MaxRows, 1, ""},
	} {
		a, err := listed(rows[:tt.rows], tt.name, tt.after, MaxRows)
		if err != nil || len(a.rows) != tt.want || a.left != tt.left || a.next != tt.next {
			t.Errorf("%d rows after %q: %d, next %q, left %d, %v", tt.rows, tt.after, len(a.rows), a.next, a.left, err)
		}
		if text := textOf(t, a, err); strings.Contains(text, `"left":1`) != (tt.left == 1) {
			t.Errorf("%d rows after %q: %.200s", tt.rows, tt.after, text)
		}
	}
}
