package server

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Group is storage.Group in JSON.
type Group struct {
	ID        storage.GroupID   `json:"id"`
	CreatedAt time.Time         `json:"createdAt"`
	Sealed    bool              `json:"sealed"`   // only its members add members
	Canceled  bool              `json:"canceled"` // none are added
	Pending   int               `json:"pending"`  // members that have not ended
	Ends      storage.GroupEnds `json:"ends"`     // how many have ended how
	EndedAt   *time.Time        `json:"endedAt"`
	FollowUp  storage.JobID     `json:"followUp,omitempty"` // the job that was scheduled when it ended
}

// GroupPage is one page of groups, in the order they were made.
type GroupPage struct {
	Groups []Group         `json:"groups"`
	Next   storage.GroupID `json:"next,omitempty"` // after of the next page; none if this is the last
}

func groupOf(g *storage.Group) Group {
	return Group{g.ID, g.CreatedAt.UTC(), g.Sealed, g.Canceled, g.Pending, g.Ends, instant(g.EndedAt), g.FollowUp}
}

// defaultGroups is how many a page has that does not say.
const defaultGroups = 100

func (h *handler) listGroups(_ http.ResponseWriter, r *request) (int, any, error) {
	filter, err := groupFilter(r.URL.Query())
	if err != nil {
		return 0, nil, err
	}
	groups, err := r.app.Scheduler(r.Context()).Groups(filter)
	if err != nil {
		return 0, nil, err
	}
	page := GroupPage{Groups: make([]Group, len(groups))}
	for i := range groups {
		page.Groups[i] = groupOf(&groups[i])
	}
	if len(groups) == filter.Limit {
		page.Next = groups[len(groups)-1].ID
	}
	return http.StatusOK, page, nil
}

// groupFilter makes the filter of a URL's parameters.
func groupFilter(query url.Values) (f storage.GroupFilter, err error) {
	if err := onlyOnce(query, []string{"going", "after", "limit"}); err != nil {
		return f, err
	}
	if f.Going, err = flagOf(query, "going"); err != nil {
		return f, err
	}
	if after := query.Get("after"); after != "" {
		if f.After, err = groupID(after); err != nil {
			return f, err
		}
	}
	f.Limit, err = limitOf(query, defaultGroups)
	return f, err
}

func groupID(text string) (storage.GroupID, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "%.32q is no number of a group", text)
	}
	return storage.GroupID(n), nil
}

// group is the group of the path.
func (r *request) group() (storage.Group, error) {
	id, err := groupID(r.PathValue("group"))
	if err != nil {
		return storage.Group{}, err
	}
	g, known, err := r.app.Scheduler(r.Context()).Group(id)
	if err == nil && !known {
		err = dispatch.Errorf(dispatch.CodeNotFound, "no group %d", id)
	}
	return g, err
}

func (h *handler) getGroup(_ http.ResponseWriter, r *request) (int, any, error) {
	g, err := r.group()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, groupOf(&g), nil
}

func (h *handler) cancelGroup(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &struct{}{}); err != nil {
		return status, nil, err
	}
	g, err := r.group()
	if err != nil {
		return 0, nil, err
	}
	if g.Ended() {
		return 0, nil, dispatch.Errorf(dispatch.CodeFailedPrecondition, "group %d has ended", g.ID)
	}
	n, err := r.app.Scheduler(r.Context()).CancelGroup(g.ID)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, Bulk{n}, nil
}
