package main

import (
	"context"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A program may use a current OpenTelemetry beside Carillon, which links an old one
// indirectly: this is here to be compiled.
func observed(ctx context.Context) (stop func()) {
	traces, metrics := sdktrace.NewTracerProvider(), sdkmetric.NewMeterProvider()
	otel.SetTracerProvider(traces)
	otel.SetMeterProvider(metrics)
	return func() {
		_ = traces.Shutdown(ctx)
		_ = metrics.Shutdown(ctx)
	}
}

var _ = observed
