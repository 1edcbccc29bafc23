package api

import "time"

// App is an app as a listing shows it: what the file says, for which it is not woken.
type App struct {
	Name     string `json:"name"`    // 1 to 64 of A-Z, a-z, 0-9, "_", "-" and "."
	Pending  int    `json:"pending"` // jobs that are pending or running
	Held     int    `json:"held"`
	Dead     int    `json:"dead"`
	Finished int    `json:"finished"` // that are kept
	Paused   bool   `json:"paused"`
	Fault    string `json:"fault,omitempty"` // why the numbers cannot be read
}

// AppPage is one page of apps, by name: 100, or the parameter limit, which is 1 to 1,000.
type AppPage struct {
	Apps    []App    `json:"apps"`
	Next    string   `json:"next,omitempty"`    // cursor of the next page; none if this is the last
	Missing []string `json:"missing,omitempty"` // volumes that cannot be read, whose apps are left out
}

// AppStatus is all that there is to say of an app without waking it.
type AppStatus struct {
	App
	Volume          int   `json:"volume"` // the number of its file
	Asleep          bool  `json:"asleep"`
	Running         int   `json:"running"`  // jobs that hold a permit; 0 of a sleeping app
	Stuck           int   `json:"stuck"`    // handlers that were given up and have not returned
	Overdue         int   `json:"overdue"`  // triggers without a success for too long
	ArgBytes        int64 `json:"argBytes"` // of jobs that have not ended; -1: not counted yet
	ResultBytes     int64 `json:"resultBytes"`
	CheckpointBytes int64 `json:"checkpointBytes"`
	Groups          int   `json:"groups"` // that have not ended

	AlarmAt *time.Time `json:"alarmAt"` // when it is looked at next; null: it waits to be called

	Limits     AppLimits      `json:"limits"`
	PoolLimits map[string]int `json:"poolLimits,omitempty"` // by pool, those that were set at run time
	Pauses     []Pause        `json:"pauses,omitempty"`
	History    []AppSample    `json:"history,omitempty"` // if it is asked for: the last hour, as far as it is known, the oldest first
	Hidden     []string       `json:"hidden,omitempty"`
}

// AppSample is what an app has done in a minute, or in as much of the last one as has passed.
type AppSample struct {
	At     time.Time `json:"at"` // its end
	SpanMs int64     `json:"spanMs"`
	Begun  int64     `json:"begun"`  // attempts of jobs
	Ended  int64     `json:"ended"`  // attempts, those that failed among them
	Failed int64     `json:"failed"` // jobs
	LateMs float64   `json:"lateMs"` // from when those that began were due until their handlers did, all together
	MaxMs  float64   `json:"maxLateMs"`
}

// AppLimits is what an app may have and do.
type AppLimits struct {
	MaxJobs            int   `json:"maxJobs"` // pending, running and held ones
	MaxArgBytes        int64 `json:"maxArgBytes"`
	MaxResultBytes     int64 `json:"maxResultBytes"`
	MaxCheckpointBytes int64 `json:"maxCheckpointBytes"`
	Concurrency        int   `json:"concurrency"`     // jobs that run at once
	StartsPerSecond    int   `json:"startsPerSecond"` // attempts of jobs that begin in any second; 0: any number
}

// NewApp is what an app is made of.
type NewApp struct {
	Name string `json:"name"` // 1 to 64 of A-Z, a-z, 0-9, "_", "-" and "."
}

// DeleteApp is the body of a deletion, which repeats the name of the path.
type DeleteApp struct {
	Name string `json:"name"`
}

// PauseApp says why an app is paused.
type PauseApp struct {
	Reason string `json:"reason"` // up to 1,024 bytes
}

// Pause is a pause of a function, of a pool or a key of one, or else of the app.
type Pause struct {
	Function string    `json:"function,omitempty"`
	Pool     string    `json:"pool,omitempty"`
	PoolKey  string    `json:"poolKey,omitempty"`
	By       string    `json:"by,omitempty"` // the operator
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since"`
}
