package storage

import "testing"

// G37: what is shown as JSON can be read by every reader of JSON.
func TestG37_WellFormed(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `"é"`: true, `"\u00e9\n"`: true, `"\ud83d\ude00"`: true, `"\uD83D\uDE00\ud83d\ude00"`: true, `"\\ud800"`: true, `"\\\\ud800x"`: true, `["\ufffd"]`: true,
		`"\ud800"`: false, `"\udc00"`: false, `"\ud800\ud800"`: false, `"\ude00\ud83d"`: false, `"\ud800x"`: false, `"\\\ud800"`: false, `{"\uDFFF":1}`: false, `"\ud800\n"`: false, `"\ud83d\ude00\udc00"`: false,
		``: false, `{`: false, "\"\xff\"": false, "\"\xed\xa0\x80\"": false, `{} {}`: false, `"\`: false, `"\ud800\u"`: false,
	} {
		if got := wellFormed([]byte(text)); got != want {
			t.Errorf("%q is well-formed: %v", text, got)
		}
	}
}
