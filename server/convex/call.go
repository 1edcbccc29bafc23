package convex

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"carillon/internal/strictjson"
)

// Format is how values are written in a call and its answer.
type Format string

// The formats.
const (
	// Encoded is that of the npm package.
	Encoded Format = "convex_encoded_json"
	// Plain is for people and other languages: of int64 the value is a decimal text, of bytes base64.
	Plain Format = "json"
)

// Enum returns the formats.
func (Format) Enum() []string { return []string{string(Encoded), string(Plain)} }

// Call is what a client sends.
type Call struct {
	// Path names the function, "namespace:function". One without a colon means default in that namespace,
	// and ".js" at the end of the namespace is not looked at.
	Path string `json:"path"`
	// Format is that of the arguments and of the answer; "" is Plain.
	Format Format `json:"format"`
	// Args is an object, or an array of one; left out it is an empty one.
	Args json.RawMessage `json:"args"`
	// ComponentPath is "" or null: there are no components here.
	ComponentPath string `json:"componentPath"`
	// TS is the instant at which a query is asked, of a call at one.
	TS *TS `json:"ts"`
}

// Instant is what queries are asked at that are to see the same.
type Instant struct {
	TS TS `json:"ts"`
}

// Parse decodes a call and makes it regular. An error may be told to the client.
func Parse(body []byte) (call Call, err error) {
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return call, fmt.Errorf("the body is no JSON object")
	}
	if err := strictjson.Decode(body, &call); err != nil {
		return call, fmt.Errorf("the body: %w", err)
	}
	switch call.Format {
	case "":
		call.Format = Plain
	case Encoded, Plain:
	default:
		return call, fmt.Errorf("format %.64q, want %s or %s", string(call.Format), Encoded, Plain)
	}
	return call.regular()
}

// regular is the call in its one form.
func (c *Call) regular() (call Call, err error) {
	call = *c
	if call.ComponentPath != "" {
		return call, fmt.Errorf("componentPath %.64q: there are no components here", call.ComponentPath)
	}
	if call.Path == "" {
		return call, fmt.Errorf("path is missing, want namespace:function")
	}
	module, name, ok := strings.Cut(call.Path, ":")
	if !ok {
		name = "default"
	}
	call.Path = strings.TrimSuffix(module, ".js") + ":" + name
	call.Args, err = object(call.Args)
	return call, err
}

// object is the one object of the arguments.
func object(args json.RawMessage) (json.RawMessage, error) {
	args = bytes.TrimSpace(args)
	if len(args) > 0 && args[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(args, &list); err != nil || len(list) > 1 {
			return nil, fmt.Errorf("args is an array of %d, want an object or an array of one", len(list))
		}
		args = nil
		if len(list) == 1 {
			args = list[0]
		}
	}
	switch {
	case len(args) == 0 || string(args) == "null":
		return json.RawMessage("{}"), nil
	case args[0] != '{':
		return nil, fmt.Errorf("args is no object")
	}
	return args, nil
}

// Answer is what a client is answered.
type Answer struct {
	Status       Status          `json:"status"`
	Value        json.RawMessage `json:"value,omitempty"`
	ErrorMessage string          `json:"errorMessage,omitempty"`
	ErrorData    *ErrorData      `json:"errorData,omitempty"`
}

// Status says whether a call was a success.
type Status string

// The statuses.
const (
	Success Status = "success"
	Failure Status = "error"
)

// Enum returns the statuses.
func (Status) Enum() []string { return []string{string(Success), string(Failure)} }

// ErrorData is the data of the ConvexError that a client throws.
type ErrorData struct {
	Code      string `json:"code"`
	Path      string `json:"path,omitempty"`
	Message   string `json:"message"`
	RequestID string `json:"requestId,omitempty"`
}
