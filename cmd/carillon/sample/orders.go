package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// OrderState says how far an order has come.
type OrderState string

// The states of an order.
const (
	Pending OrderState = "pending" // placed, and not paid yet
	Paid    OrderState = "paid"
)

// Order is a document of the table orders.
type Order struct {
	SKU      string        `json:"sku"`
	State    OrderState    `json:"state"`
	PlacedAt time.Time     `json:"placedAt"`
	PaidAt   time.Time     `json:"paidAt,omitzero"`
	Charge   storage.JobID `json:"charge,omitempty"` // the key it was charged under
}

type (
	placeOrder struct {
		SKU string `json:"sku"`
	}
	placedOrder struct {
		OrderID storage.ID[Order] `json:"orderId"`
		JobID   storage.JobID     `json:"jobId"`
	}
	orderRef struct {
		OrderID storage.ID[Order] `json:"orderId"`
	}
	orderView struct {
		OrderID storage.ID[Order] `json:"orderId"`
		Order
	}
)

var (
	orders = storage.NewTable[Order]("orders")

	ordersPlace    = dispatch.Mutation[placeOrder, placedOrder]("orders:place")
	ordersGet      = dispatch.Query[orderRef, orderView]("orders:get")
	ordersMarkPaid = dispatch.InternalMutation[orderRef, dispatch.None]("orders:markPaid")
	paymentsCharge = dispatch.InternalAction[orderRef, dispatch.None]("payments:charge", dispatch.Deadline(30*time.Second))
)

func handleOrders(reg *dispatch.Registry) {
	// The caller has its answer as soon as the order is stored. RunAfter(0) is how
	// a mutation hands over what must not be done inside a transaction.
	ordersPlace.Handle(reg, func(ctx *dispatch.MutationCtx, args placeOrder) (placedOrder, error) {
		if err := checkText("sku", args.SKU); err != nil {
			return placedOrder{}, err
		}
		id, err := orders.Insert(ctx.DB, Order{SKU: args.SKU, State: Pending, PlacedAt: ctx.Now})
		if err != nil {
			return placedOrder{}, err
		}
		job, err := ctx.Scheduler.RunAfter(0, paymentsCharge.With(orderRef{id}))
		return placedOrder{id, job}, err
	})

	paymentsCharge.Handle(reg, func(ctx *dispatch.ActionCtx, args orderRef) (dispatch.None, error) {
		// A real app calls its payment provider here and gives it the key: however
		// often the action runs, the provider charges once.
		ctx.Log.Info("charging", "order", args.OrderID, "key", ctx.Job.IdempotencyKey())
		return ordersMarkPaid.Run(ctx, args)
	})

	ordersMarkPaid.Handle(reg, func(ctx *dispatch.MutationCtx, args orderRef) (dispatch.None, error) {
		return dispatch.None{}, orders.Patch(ctx.DB, args.OrderID, func(o *Order) error {
			if o.State != Paid {
				o.State, o.PaidAt, o.Charge = Paid, ctx.Now, ctx.Job.ID
			}
			return nil
		})
	})

	ordersGet.Handle(reg, func(ctx *dispatch.QueryCtx, args orderRef) (orderView, error) {
		order, err := orders.Get(ctx.DB, args.OrderID)
		return orderView{args.OrderID, order}, err
	})
}
