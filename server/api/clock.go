package api

import "time"

// Clock is what the engine knows of the wall clock.
type Clock struct {
	Wall      time.Time `json:"wall"`
	Written   time.Time `json:"written"`   // what would be written down now
	Steps     int       `json:"steps"`     // that were noticed since the start
	DoubtedMs int64     `json:"doubtedMs"` // for how much longer nothing is purged by age, because of a doubtful step; 0: it is
	Notes     []string  `json:"notes"`     // what a person should look at
}
