package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"

	"carillon/server/api"
)

// OperationFilter chooses operations.
type OperationFilter struct {
	Going  bool   // only those that have not ended
	Limit  int    // operations a page, 1 to 1,000; 0 is 100
	Cursor string // where to go on; "" is the beginning
}

// Operations yields what is done, or was, to many jobs of the app, the latest first, page by page.
func (a *App) Operations(ctx context.Context, f OperationFilter) iter.Seq2[api.Operation, error] {
	return rows(a.OperationPages(ctx, f), func(p *api.OperationPage) []api.Operation { return p.Operations })
}

// OperationPages is Operations by pages, of which Next is the Cursor that another OperationPages goes on
// from.
func (a *App) OperationPages(ctx context.Context, f OperationFilter) iter.Seq2[*api.OperationPage, error] {
	return pages(f.Cursor, func(cursor string) (*api.OperationPage, string, error) {
		r := a.get("operations")
		r.query = url.Values{}
		setFlag(r.query, "going", f.Going)
		setNumber(r.query, "limit", f.Limit)
		set(r.query, "cursor", cursor)
		page := new(api.OperationPage)
		err := a.c.do(ctx, r, page)
		return page, page.Next, err
	})
}

// CountOperation returns how many jobs the operation would be on. With the AsOf of that in its turn,
// StartOperation is on no job that has come since.
func (a *App) CountOperation(ctx context.Context, o api.NewOperation) (count api.OperationCount, err error) {
	o.DryRun = true
	err = a.c.do(ctx, a.post(always, &o, "operations"), &count)
	return count, err
}

// StartOperation begins an operation, which the app goes on with by itself, also after a restart:
// Operation says how far it has come. It is on the jobs that there are, or that there were as of
// AsOf, and still match.
func (a *App) StartOperation(ctx context.Context, o api.NewOperation) (*api.Operation, error) {
	o.DryRun = false
	return a.operation(ctx, a.post(ifNotDone, &o, "operations"))
}

// Operation returns the operation, and how far it has come.
func (a *App) Operation(ctx context.Context, id uint64) (*api.Operation, error) {
	return a.operation(ctx, a.get("operations", strconv.FormatUint(id, 10)))
}

// CancelOperation ends the operation where it is: what was done stays done.
func (a *App) CancelOperation(ctx context.Context, id uint64) (*api.Operation, error) {
	return a.operation(ctx, a.post(ifNotDone, nil, "operations", strconv.FormatUint(id, 10), "cancel"))
}

// operation is a request that is answered with an operation.
func (a *App) operation(ctx context.Context, r request) (*api.Operation, error) {
	operation := new(api.Operation)
	if err := a.c.do(ctx, r, operation); err != nil {
		return nil, err
	}
	return operation, nil
}
