package convex

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
)

// TS is an instant: the number of a commit.
type TS uint64

// MarshalText implements encoding.TextMarshaler.
func (ts TS) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, binary.LittleEndian.AppendUint64(nil, uint64(ts))), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (ts *TS) UnmarshalText(text []byte) error {
	data, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(data) != 8 {
		return fmt.Errorf("ts %.64q is no instant: want 8 bytes in base64", text)
	}
	*ts = TS(binary.LittleEndian.Uint64(data))
	return nil
}

// Version is how far a client is.
type Version struct {
	QuerySet uint32 `json:"querySet"`
	Identity uint32 `json:"identity"`
	TS       TS     `json:"ts"`
}

// ClientMessage is what a client sends over a WebSocket: the fields of all types of messages.
type ClientMessage struct {
	Type string `json:"type"` // Connect, Authenticate, ModifyQuerySet, Mutation, Action or Event

	SessionID string `json:"sessionId"` // of a Connect

	TokenType     string          `json:"tokenType"` // of an Authenticate: User, Admin or None
	Value         string          `json:"value"`
	Impersonating json.RawMessage `json:"impersonating"`

	BaseVersion   uint32              `json:"baseVersion"`
	NewVersion    uint32              `json:"newVersion"` // of a ModifyQuerySet
	Modifications []QueryModification `json:"modifications"`

	RequestID     uint32          `json:"requestId"` // of a Mutation or an Action
	UDFPath       string          `json:"udfPath"`
	Args          json.RawMessage `json:"args"`
	ComponentPath string          `json:"componentPath"`
}

// QueryModification adds a query, or removes one.
type QueryModification struct {
	Type          string          `json:"type"` // Add or Remove
	QueryID       uint64          `json:"queryId"`
	UDFPath       string          `json:"udfPath"`
	Args          json.RawMessage `json:"args"`
	ComponentPath string          `json:"componentPath"`
}

// ParseMessage decodes a message. Fields that are not known are not looked at: clients send measurements of
// themselves. An error may be told to the client.
func ParseMessage(text []byte) (m ClientMessage, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("the message is none of the protocol: %w", err)
	}
	switch m.Type {
	case "Connect", "Mutation", "Action", "Event":
	case "Authenticate":
		switch m.TokenType {
		case "User", "Admin", "None":
		default:
			return m, fmt.Errorf("tokenType %.64q, want User, Admin or None", m.TokenType)
		}
	case "ModifyQuerySet":
		for _, q := range m.Modifications {
			if q.Type != "Add" && q.Type != "Remove" {
				return m, fmt.Errorf("a modification is of type %.64q, want Add or Remove", q.Type)
			}
		}
	default:
		return m, fmt.Errorf("the message is of type %.64q", m.Type)
	}
	return m, nil
}

// ActsAs is the identity of an Authenticate of an operator as it stands in a header behind the token.
func (m *ClientMessage) ActsAs() string {
	if len(m.Impersonating) == 0 || string(m.Impersonating) == "null" {
		return ""
	}
	return ":" + base64.StdEncoding.EncodeToString(m.Impersonating)
}

// CallOf is the call of a message. An error may be told to the client.
func CallOf(path string, args json.RawMessage, component string) (Call, error) {
	return (&Call{Path: path, Format: Encoded, Args: args, ComponentPath: component}).regular()
}

// Transition takes a client from one version to the next.
type Transition struct {
	Type          string         `json:"type"`
	StartVersion  Version        `json:"startVersion"`
	EndVersion    Version        `json:"endVersion"`
	Modifications []Modification `json:"modifications"`
}

// Modification is what has come of a query.
type Modification struct {
	Type         string // QueryUpdated, QueryFailed or QueryRemoved
	QueryID      uint64
	Value        json.RawMessage
	ErrorMessage string
	ErrorData    *ErrorData
}

// MarshalJSON implements json.Marshaler: each type has fields of its own.
func (m Modification) MarshalJSON() ([]byte, error) {
	type result struct {
		Type         string          `json:"type"`
		QueryID      uint64          `json:"queryId"`
		Value        json.RawMessage `json:"value,omitempty"`
		ErrorMessage *string         `json:"errorMessage,omitempty"`
		ErrorData    *ErrorData      `json:"errorData,omitempty"`
		LogLines     *[0]string      `json:"logLines,omitempty"`
		Journal      json.RawMessage `json:"journal,omitempty"`
	}
	r := result{Type: m.Type, QueryID: m.QueryID, Value: m.Value, ErrorData: m.ErrorData}
	if strings.HasPrefix(m.Type, "QueryR") {
		return json.Marshal(&r)
	}
	r.LogLines, r.Journal = &[0]string{}, json.RawMessage("null")
	if m.ErrorData != nil {
		r.ErrorMessage = &m.ErrorMessage
	}
	return json.Marshal(&r)
}

// MutationResponse is what has come of a mutation or, without an instant, of an action.
type MutationResponse struct {
	Type      string          `json:"type"` // MutationResponse or ActionResponse
	RequestID uint32          `json:"requestId"`
	Success   bool            `json:"success"`
	Result    json.RawMessage `json:"result"` // of one that has failed the message
	ErrorData *ErrorData      `json:"errorData,omitempty"`
	TS        *TS             `json:"ts,omitempty"`
	LogLines  []string        `json:"logLines"`
}

// AuthError tells a client that its credential is not good.
type AuthError struct {
	Type                string `json:"type"`
	Error               string `json:"error"`
	BaseVersion         uint32 `json:"baseVersion"` // of the identity before
	AuthUpdateAttempted bool   `json:"authUpdateAttempted"`
}

// FatalError tells a client that it has to stop.
type FatalError struct {
	Type  string `json:"type"`
	Error string `json:"error"`
}

// Ping tells a client that the connection is there.
type Ping struct {
	Type string `json:"type"`
}
