package otel_test

import (
	"fmt"

	"go.opentelemetry.io/otel/trace/noop"

	"carillon/dispatch"
	"carillon/server/otel"
)

func ExampleMiddleware() {
	functions := dispatch.NewRegistry()
	provider := noop.NewTracerProvider() // in a program: that of its SDK, with an exporter

	functions.Use(otel.Middleware(provider))
	fmt.Println("each run is a span")
	// Output: each run is a span
}
