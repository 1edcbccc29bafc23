package api

import "time"

// AuditEntry is what an operator has changed with one commit.
type AuditEntry struct {
	At       time.Time `json:"at"`
	Operator string    `json:"operator"`
	Action   string    `json:"action"`        // such as "POST jobs/{id}/cancel"
	App      string    `json:"app,omitempty"` // "": it is about the store
	IDs      []string  `json:"ids,omitempty"` // of jobs, triggers and tokens; up to 128
	Count    int       `json:"count"`         // how many there were, 0: that is not known
	From     string    `json:"from"`          // the address that it came from
}

// AuditPage is one page of the audit log: 100 entries, or the parameter limit, which is 1 to 1,000.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`        // null if there are none
	Next    string       `json:"next,omitempty"` // cursor of the next page; none if this is the last
}
