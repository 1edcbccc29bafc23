package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"

	"carillon/server/api"
)

// GroupFilter chooses groups.
type GroupFilter struct {
	Going bool   // only those that have not ended
	After uint64 // only those with a greater id
	Limit int    // groups a page, 1 to 1,000; 0 is 100
}

// Groups yields the groups that the filter chooses, in the order they were made, page by page.
func (a *App) Groups(ctx context.Context, f GroupFilter) iter.Seq2[api.Group, error] {
	return rows(a.GroupPages(ctx, f), func(p *api.GroupPage) []api.Group { return p.Groups })
}

// GroupPages is Groups by pages, of which Next is the After that another GroupPages goes on from.
func (a *App) GroupPages(ctx context.Context, f GroupFilter) iter.Seq2[*api.GroupPage, error] {
	return pages(f.After, func(after uint64) (*api.GroupPage, uint64, error) {
		r := a.get("groups")
		r.query = url.Values{}
		setFlag(r.query, "going", f.Going)
		setNumber(r.query, "after", after)
		setNumber(r.query, "limit", f.Limit)
		page := new(api.GroupPage)
		err := a.c.do(ctx, r, page)
		return page, page.Next, err
	})
}

// Group returns the group, with how many of its members have ended how.
func (a *App) Group(ctx context.Context, id uint64) (group api.Group, err error) {
	err = a.c.do(ctx, a.get("groups", strconv.FormatUint(id, 10)), &group)
	return group, err
}

// CancelGroup cancels the members of the group that have not ended, and returns how many there were. None join
// it any more.
func (a *App) CancelGroup(ctx context.Context, id uint64) (jobs int, err error) {
	return a.change(ctx, nil, "groups", strconv.FormatUint(id, 10), "cancel")
}

func setFlag(q url.Values, key string, flag bool) {
	if flag {
		q.Set(key, "true")
	}
}
