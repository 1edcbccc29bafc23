package dispatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"carillon/internal/brief"
)

// MaxPath bounds a function's path, in bytes.
const MaxPath = 256

// Path names a function, "namespace:function". The namespace is one or more
// segments separated by '/'; a segment, and the function's name, is one or more
// of A-Z a-z 0-9 '_' and '-'. The whole is at most MaxPath bytes:
//
//	notes:post   billing/trials:expire   team-a/v2/jobs:run_all
type Path string

// Check says whether the path is well-formed. It does not say whether a
// function is registered under it.
func (p Path) Check() error {
	s := string(p)
	if len(s) > MaxPath {
		return fmt.Errorf("path %s is %d bytes long, the limit is %d", brief.Quote(s), len(s), MaxPath)
	}
	namespace, name, ok := strings.Cut(s, ":")
	if ok {
		ok = wordOK(name)
		for segment := range strings.SplitSeq(namespace, "/") {
			ok = ok && wordOK(segment)
		}
	}
	if !ok {
		return fmt.Errorf("path %s: want namespace:function, of A-Z a-z 0-9 _ - with / inside the namespace", brief.Quote(s))
	}
	return nil
}

func wordOK(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

// With makes a call of the function with the arguments, encoded at once by
// encoding/json; a json.RawMessage is taken as it is. Whether path and
// arguments fit a registered function is checked where the call is used.
func (p Path) With(args any) Call { return newCall(string(p), args) }

// Call is a function's path together with its arguments: what a scheduler, a
// cron trigger or a client asks to run. It is immutable. The zero Call names
// no function and is refused wherever it is used.
type Call struct {
	path string
	args json.RawMessage
	typ  reflect.Type // of what the arguments were encoded from
	err  error        // why they could not be
}

func newCall(path string, args any) Call {
	raw, err := encodeArgs(path, args)
	return Call{path: path, args: raw, typ: reflect.TypeOf(args), err: err}
}

// Path returns the path of the function to call.
func (c Call) Path() string { return c.path }

// Args returns the encoded arguments, which are empty if there are none, or why
// they could not be encoded.
func (c Call) Args() (json.RawMessage, error) { return bytes.Clone(c.args), c.err }

// String returns the call as a person would write it, cut to a line's length.
func (c Call) String() string { return fmt.Sprintf("%s(%s)", c.path, brief.Cut(string(c.args), 80)) }
