package api

import "time"

// Group is a group of jobs.
type Group struct {
	ID        uint64     `json:"id"` // from 1
	CreatedAt time.Time  `json:"createdAt"`
	Sealed    bool       `json:"sealed"`   // only its members add members
	Canceled  bool       `json:"canceled"` // none are added
	Pending   int        `json:"pending"`  // members that have not ended
	Ends      GroupEnds  `json:"ends"`
	EndedAt   *time.Time `json:"endedAt"`
	FollowUp  string     `json:"followUp,omitempty"` // the job that was scheduled when it ended
}

// GroupEnds is how many members of a group have ended how.
type GroupEnds struct {
	Success  int `json:"success"`
	Failed   int `json:"failed"`   // dead
	Canceled int `json:"canceled"` // held ones that were dropped among them
	Expired  int `json:"expired"`
}

// GroupPage is one page of groups, in the order they were made: 100, or the parameter limit, which is
// 1 to 1,000.
type GroupPage struct {
	Groups []Group `json:"groups"`
	Next   uint64  `json:"next,omitempty"` // after of the next page; none if this is the last
}
