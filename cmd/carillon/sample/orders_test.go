package sample_test

import (
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
)

type order struct {
	OrderID string
	sample.Order
}

func TestPlacedOrderIsPaid(t *testing.T) {
	inWorld(t, func(w *world) {
		placed := call[struct {
			OrderID string
			JobID   storage.JobID
		}](w, "orders:place", `{"sku":"tea"}`)
		w.pass(time.Second)
		got := call[order](w, "orders:get", `{"orderId":%q}`, placed.OrderID)
		if got.OrderID != placed.OrderID || got.SKU != "tea" || got.State != sample.Paid || got.Charge != placed.JobID ||
			got.PaidAt.Before(got.PlacedAt) {
			t.Errorf("got %+v", got)
		}
		if got := w.job(placed.JobID); got.State != storage.StateSuccess || got.Function != "payments:charge" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestOrdersRefuse(t *testing.T) {
	inWorld(t, func(w *world) {
		placed := call[order](w, "orders:place", `{"sku":"tea"}`)
		w.refused(dispatch.CodeInvalidArgument, "sku is empty", "orders:place", `{}`)
		w.refused(dispatch.CodeInvalidArgument, "is not an id of table orders", "orders:get", `{}`)
		w.refused(dispatch.CodeNotFound, "not found", "orders:get", `{"orderId":%q}`, unknownID(placed.OrderID))
		w.refused(dispatch.CodeNotFound, "no function", "orders:markPaid", `{"orderId":%q}`, placed.OrderID)
		w.refused(dispatch.CodeNotFound, "no function", "payments:charge", `{"orderId":%q}`, placed.OrderID)
	})
}
