package api

import "time"

// Token is a token of an operator, without its secret.
type Token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"` // of the operator
	Apps      []string   `json:"apps,omitempty"`
	AllApps   bool       `json:"allApps,omitempty"`
	Scopes    []Scope    `json:"scopes"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt"` // null: never
	Expired   bool       `json:"expired,omitempty"`
	Token     string     `json:"token,omitempty"` // with the secret: only in the answer to its making
}

// Operator is who asks, and what they may do.
type Operator struct {
	Name    string   `json:"name"`
	Apps    []string `json:"apps,omitempty"`
	AllApps bool     `json:"allApps,omitempty"`
	Scopes  []Scope  `json:"scopes"`
}

// NewToken is what a token is made of. It is for some apps, or for all.
type NewToken struct {
	Name      string    `json:"name"` // of the operator
	Apps      []string  `json:"apps"` // up to 1,000
	AllApps   bool      `json:"allApps"`
	Scopes    []Scope   `json:"scopes"`    // at least one, of those that its maker has
	ExpiresAt time.Time `json:"expiresAt"` // left out: never
}

// Scope is one kind of thing that an operator may do. None takes in another.
type Scope string

// The scopes.
const (
	ScopeRead      Scope = "read"       // look at apps, jobs, triggers, stuck handlers and the clock
	ScopeReadArgs  Scope = "read-args"  // see arguments, results, checkpoints, log lines, the text of errors, and reasons
	ScopeWrite     Scope = "write"      // act on jobs and triggers
	ScopeCall      Scope = "call"       // run any function, internal ones too: what a trigger does
	ScopeActAs     Scope = "act-as"     // choose the identity that a function is run as
	ScopeReadDocs  Scope = "read-docs"  // see documents
	ScopeWriteDocs Scope = "write-docs" // change documents; with read-docs
	ScopeAdmin     Scope = "admin"      // create, delete, import, export and back up apps; the clock
)

// Enum returns all scopes.
func (Scope) Enum() []string {
	return enum(ScopeRead, ScopeReadArgs, ScopeWrite, ScopeCall, ScopeActAs, ScopeReadDocs, ScopeWriteDocs, ScopeAdmin)
}
