package api

import "encoding/json"

// OutsideResult ends an attempt that is pending outside as a success.
type OutsideResult struct {
	Result json.RawMessage `json:"result"` // none is null
}

// OutsideFailure ends an attempt that is pending outside as a failed one.
type OutsideFailure struct {
	Code      Code   `json:"code"`      // none is unknown
	Message   string `json:"message"`   // up to 4,096 bytes
	Permanent bool   `json:"permanent"` // the job is not tried again
}

// OutsideEnd is what became of the end of an attempt.
type OutsideEnd struct {
	Ended bool `json:"ended"` // false: it was ended before, and this end counts for nothing
}
