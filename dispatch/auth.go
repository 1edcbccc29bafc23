package dispatch

import (
	"errors"
	"maps"
	"time"
	"unicode/utf8"

	"carillon/internal/strictjson"
)

// MaxIdentity bounds an identity's JSON form, in bytes.
const MaxIdentity = 64 << 10

// Identity is who calls: a subject and what is claimed about it. It holds
// claims only, never the token they were read from, because a job may store it.
//
// Claims are JSON values. A function sees them as encoding/json decodes them
// into an any (string, bool, float64, nil, []any, map[string]any), whether it
// runs for a request or for a stored job. A whole number beyond 2⁵³ belongs in a string.
type Identity struct {
	Subject string         `json:"subject"` // Invariant: not empty, and UTF-8
	Claims  map[string]any `json:"claims,omitempty"`
	// ExpiresAt is when what the identity was read from ends, zero if that is not known: what lasts
	// longer than a call, such as a WebSocket, is asked then who it is. Functions and jobs do not have it.
	ExpiresAt time.Time `json:"-"`
}

// Normalize returns a copy of the identity with its claims as a function sees
// them, or an *Error that says what is wrong with it. A nil identity, which is
// anonymous, stays nil.
func (id *Identity) Normalize() (*Identity, error) {
	if id == nil {
		return nil, nil
	}
	if len(id.Claims) == 0 && id.Subject != "" && len(id.Subject) < MaxIdentity/8 && utf8.ValidString(id.Subject) {
		return &Identity{Subject: id.Subject}, nil // an escaped character takes 6 bytes at most
	}
	data, err := encodeIdentity(id)
	if err != nil {
		return nil, err
	}
	return DecodeIdentity(data)
}

// encodeIdentity returns the form a job stores: JSON, or nil for an anonymous one. The
// error is an *Error.
func encodeIdentity(id *Identity) ([]byte, error) {
	if id == nil {
		return nil, nil
	}
	switch {
	case id.Subject == "":
		return nil, Errorf(CodeInvalidArgument, "identity: the subject is empty")
	case !utf8.ValidString(id.Subject): // encoding/json would make one subject of many
		return nil, Errorf(CodeInvalidArgument, "identity: the subject is not UTF-8")
	}
	data, err := strictjson.Encode(id)
	if err != nil {
		return nil, &Error{Code: CodeInvalidArgument, Message: "identity: the claims cannot be encoded: " + strictjson.Text(err), Err: err}
	}
	if err := checkIdentity(data); err != nil {
		return nil, err
	}
	return data, nil
}

// checkIdentity bounds an identity's JSON form.
func checkIdentity(data []byte) error {
	if checkDepth(data) != nil {
		return Errorf(CodeInvalidArgument, "identity: nested deeper than %d levels", MaxDepth)
	}
	return checkSize("", "identity", len(data), MaxIdentity)
}

// DecodeIdentity returns the identity that a job stores. The error is
// an *Error. For engines.
func DecodeIdentity(data []byte) (*Identity, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if err := checkIdentity(data); err != nil {
		return nil, err
	}
	id := new(Identity)
	err := strictjson.Decode(data, id)
	if err == nil && id.Subject == "" {
		err = errors.New("want one object with a subject")
	}
	if err != nil {
		return nil, &Error{Code: CodeInvalidArgument, Message: "identity: does not decode: " + err.Error(), Err: err}
	}
	return id, nil
}

// Auth tells a function who calls. The zero Auth is anonymous.
type Auth struct{ identity *Identity }

// Identity returns who calls. ok is false for an anonymous one: the caller did not
// sign in, or the run is a job that was not scheduled with AsCaller.
func (a Auth) Identity() (id Identity, ok bool) {
	if a.identity == nil {
		return Identity{}, false
	}
	return Identity{Subject: a.identity.Subject, Claims: maps.Clone(a.identity.Claims)}, true
}

// Require returns who calls, or an *Error with the code unauthenticated.
func (a Auth) Require() (Identity, error) {
	id, ok := a.Identity()
	if !ok {
		return Identity{}, &Error{Code: CodeUnauthenticated, Message: "sign in first"}
	}
	return id, nil
}
