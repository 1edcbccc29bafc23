package server

import (
	"net/http"
	"net/url"
	"strconv"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

func groupOf(g *storage.Group) api.Group {
	return api.Group{
		ID: uint64(g.ID), CreatedAt: g.CreatedAt.UTC(), Sealed: g.Sealed, Canceled: g.Canceled, Pending: g.Pending,
		Ends: api.GroupEnds(g.Ends), EndedAt: instant(g.EndedAt), FollowUp: string(g.FollowUp),
	}
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
	page := api.GroupPage{Groups: make([]api.Group, len(groups))}
	for i := range groups {
		page.Groups[i] = groupOf(&groups[i])
	}
	if len(groups) == filter.Limit {
		page.Next = uint64(groups[len(groups)-1].ID)
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
	if status, err := h.decodeBody(w, r, &api.Empty{}); err != nil {
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
	return http.StatusOK, api.Affected{Jobs: n}, nil
}
