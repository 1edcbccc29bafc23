package api

import "time"

// Pool is a pool of the app, and what it does.
type Pool struct {
	Name     string     `json:"name"`
	Limit    int        `json:"limit"`    // attempts at once, of the app, or of each key
	Declared int        `json:"declared"` // the limit that the program gives it
	Ordered  bool       `json:"ordered,omitempty"`
	Shared   bool       `json:"shared,omitempty"` // of all apps; the rest is the app's
	Running  int        `json:"running"`
	Stuck    int        `json:"stuck"`
	Queued   int        `json:"queued"` // jobs that are due and hold no permit
	Oldest   *time.Time `json:"oldest"` // when the first of those was due
	Paused   *Pause     `json:"paused,omitempty"`
	Rate     *PoolRate  `json:"rate,omitempty"`
	Hidden   []string   `json:"hidden,omitempty"`
}

// PoolRate is the rate of a pool.
type PoolRate struct {
	Starts int        `json:"starts"` // at most so many attempts begin
	SpanMs int64      `json:"spanMs"` // in any span of that length
	Next   *time.Time `json:"next"`   // when the next one may; null: no rate keeps it waiting
}

// PoolLimit is a limit that wins over the declared one.
type PoolLimit struct {
	Limit int `json:"limit"` // 1 to 100,000; 1 of a pool that is ordered
}

// PauseRequest says what is paused: one of the app, a function, a pool or a key of one.
type PauseRequest struct {
	App      bool   `json:"app"`
	Function string `json:"function"`
	Pool     string `json:"pool"`
	PoolKey  string `json:"poolKey"`
	Reason   string `json:"reason"` // up to 1,024 bytes
}

// PauseList is what is paused of an app.
type PauseList struct {
	Pauses []Pause  `json:"pauses"`
	Hidden []string `json:"hidden,omitempty"`
}
