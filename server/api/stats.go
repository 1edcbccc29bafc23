package api

import "time"

// Stats are what there is to do in all apps, what the engine has done since it was opened, and the last hour of that.
type Stats struct {
	At    time.Time  `json:"at"`
	Jobs  JobCounts  `json:"jobs"` // as they were at CountedAt
	Apps  AppCounts  `json:"apps"` // likewise
	Slots SlotCounts `json:"slots"`

	CountedAt *time.Time `json:"countedAt,omitempty"` // some seconds ago at most, unless old counts were asked for; none: not yet

	Stuck   int           `json:"stuck"`   // handlers that were given up and have not returned
	Overdue int           `json:"overdue"` // triggers that have been without a success for too long
	Begun   int64         `json:"begun"`   // attempts of jobs, since the engine was opened
	Ended   AttemptCounts `json:"ended"`   // likewise
	Commits int64         `json:"commits"`
	Written int64         `json:"writtenBytes"`
	Log     int64         `json:"logBytes"` // the log's size now
	Volumes []Volume      `json:"volumes"`

	// Apps that stand out, up to 20 of each kind. Which those of the first three are is as of CountedAt, what there is
	// to say of them as of now.
	Busy     []App        `json:"busy,omitempty"`     // with the most pending jobs, the most first
	Troubled []App        `json:"troubled,omitempty"` // that cannot be read, then those with the most failed and held jobs
	Paused   []App        `json:"paused,omitempty"`   // by name
	Running  []AppRunning `json:"running,omitempty"`  // in which the most jobs run now, the most first

	History []Sample `json:"history"` // the last hour, the oldest first: at most 360
}

// AppRunning is how many jobs of an app run.
type AppRunning struct {
	Name string `json:"name"`
	Jobs int    `json:"jobs"`
}

// JobCounts are jobs of all apps.
type JobCounts struct {
	Pending  int `json:"pending"` // and not running
	Running  int `json:"running"`
	Held     int `json:"held"`
	Failed   int `json:"failed"`
	Finished int `json:"finished"` // that are kept
	Groups   int `json:"groups"`   // of jobs, that have not ended
}

// AppCounts are the apps of a store.
type AppCounts struct {
	Total      int `json:"total"`
	Awake      int `json:"awake"`      // in memory
	Unreadable int `json:"unreadable"` // apps and volumes whose counters are in no other number
}

// SlotCounts are the engine's: how many jobs of all apps may run at once.
type SlotCounts struct {
	Total   int   `json:"total"`
	Taken   int   `json:"taken"`
	Waiting int64 `json:"waiting"` // jobs that are claimed and wait to be started
}

// AttemptCounts are how many attempts have ended how.
type AttemptCounts struct {
	Success     int64 `json:"success"`
	Retried     int64 `json:"retried"`
	Failed      int64 `json:"failed"`
	Postponed   int64 `json:"postponed"`
	Interrupted int64 `json:"interrupted"`
	Held        int64 `json:"held"`
	Canceled    int64 `json:"canceled"`
}

// Volume is a file of the store.
type Volume struct {
	Name   string `json:"name"`
	Served bool   `json:"served"` // if not, the log says why
}

// Sample is what the engine has done in about ten seconds.
type Sample struct {
	At       time.Time `json:"at"` // its end
	SpanMs   int64     `json:"spanMs"`
	Begun    int64     `json:"begun"` // attempts of jobs
	Ended    int64     `json:"ended"` // attempts, those that failed among them
	Failed   int64     `json:"failed"`
	Lateness Latency   `json:"lateness"` // from when an attempt was due until its handler began
	Commits  Latency   `json:"commits"`  // from when changes were taken together until they were durable
}

// Latency is how long so many things took, as far as buckets tell whose bounds double.
type Latency struct {
	Count int64   `json:"count"`
	P50Ms float64 `json:"p50Ms"` // 0 if Count is
	P99Ms float64 `json:"p99Ms"`
}
