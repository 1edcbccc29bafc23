package actors_test

import (
	"context"
	"fmt"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// shopOrder is what the shop of the examples sells.
type shopOrder struct {
	What string `json:"what"`
}

// shopFunctions are those of a shop whose orders are shown.
func shopFunctions() *dispatch.Registry {
	orders := storage.NewTable[shopOrder]("shoporders")
	reg := dispatch.NewRegistry()
	dispatch.Mutation[string, storage.ID[shopOrder]]("shop:order").Handle(reg, func(ctx *dispatch.MutationCtx, what string) (storage.ID[shopOrder], error) {
		return orders.Insert(ctx.DB, shopOrder{what})
	})
	dispatch.Query[none, int]("shop:open").Handle(reg, func(ctx *dispatch.QueryCtx, _ none) (int, error) {
		return orders.Query(ctx.DB).Count()
	})
	dispatch.Query[none, string]("shop:last").Handle(reg, func(ctx *dispatch.QueryCtx, _ none) (string, error) {
		last, _, err := orders.Query(ctx.DB).Desc().First()
		return last.Value.What, err
	})
	return reg
}

// The number of open orders is shown as it changes.
func ExampleApp_Subscribe() {
	withEngine(actors.Options{Functions: shopFunctions()}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		for r, err := range app.Subscribe(ctx, "shop:open", nil, nil) {
			if err != nil {
				return err
			}
			fmt.Println("open orders:", string(r.Value))
			if string(r.Value) == "1" {
				break
			}
			if _, err := app.Call(ctx, "shop:order", []byte(`"tea"`), nil); err != nil {
				return err
			}
		}
		return nil
	})
	// Output:
	// open orders: 0
	// open orders: 1
}

// Two queries of one client, shown as of the same commit, until that of a mutation is shown.
func ExampleApp_Live() {
	withEngine(actors.Options{Functions: shopFunctions()}, func(ctx context.Context, eng *actors.Engine) error {
		app, err := eng.App("acme")
		if err != nil {
			return err
		}
		live := app.Live(&dispatch.Identity{Subject: "ann"})
		defer live.Close()
		if _, err := live.Change([]actors.LiveQuery{{ID: 1, Path: "shop:open"}, {ID: 2, Path: "shop:last"}}, nil); err != nil {
			return err
		}
		var commit uint64
		if _, err := app.Call(actors.TellCommit(ctx, &commit), "shop:order", []byte(`"tea"`), nil); err != nil {
			return err
		}
		live.Await(commit)
		for shown := uint64(0); shown < commit; {
			t, err := live.Next(ctx)
			if err != nil {
				return err
			}
			shown = t.Commit
			if shown < commit {
				continue
			}
			for _, r := range t.Changed {
				fmt.Println(r.ID, string(r.Value))
			}
		}
		return nil
	})
	// Output:
	// 1 1
	// 2 "tea"
}
