package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"carillon/dispatch"
	"carillon/storage"
)

// Middleware makes a span of each run, by the provider's tracer "carillon". It is for
// dispatch.Registry.Use, as the first of all, so that other middleware runs within the span.
func Middleware(provider trace.TracerProvider) dispatch.Middleware {
	tracer := provider.Tracer("carillon")
	return func(ctx context.Context, run dispatch.HandlerRun, next func(context.Context) error) error {
		from, name, how := begin(ctx, &run)
		ctx, span := tracer.Start(from, name, how...)
		code := dispatch.CodeInternal // of a panic
		defer func() {
			if code != "" {
				span.SetAttributes(attribute.String("carillon.code", string(code)))
				span.SetStatus(codes.Error, string(code))
			}
			span.End()
		}()
		if own := span.SpanContext(); own.IsValid() {
			ctx = dispatch.WithTrace(ctx, fromOTel(own))
		}
		err := next(ctx)
		if code = ""; err != nil {
			code = dispatch.AsError(err).Code
		}
		return err
	}
}

// begin is what the span of the run begins with: the context that it comes from, its name and how.
func begin(ctx context.Context, run *dispatch.HandlerRun) (from context.Context, name string, how []trace.SpanStartOption) {
	at := dispatch.TraceOf(ctx)
	attributes := []attribute.KeyValue{
		attribute.String("carillon.app", string(run.App)),
		attribute.String("carillon.function", run.Path),
		attribute.String("carillon.kind", string(run.Kind)),
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal)}
	switch inside := trace.SpanContextFromContext(ctx).IsValid(); {
	case inside: // a function that runs inside another, or a call of host code that has a span
	case at.Parent != nil:
		options[0] = trace.WithSpanKind(trace.SpanKindServer)
		ctx = trace.ContextWithRemoteSpanContext(ctx, toOTel(at.Parent))
	case run.Job.ID != "":
		options = append(options, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer))
		if at.Link != nil {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: toOTel(at.Link)}))
		}
	}
	if run.Job.ID != "" {
		attributes = append(attributes, attribute.String("carillon.job.id", string(run.Job.ID)), attribute.Int("carillon.job.attempt", run.Job.Attempt))
	}
	if run.Tick.Trigger != "" {
		attributes = append(attributes, attribute.String("carillon.trigger", run.Tick.Trigger))
	}
	return ctx, run.Path, append(options, trace.WithAttributes(attributes...))
}

// toOTel is a span of another process as OpenTelemetry has it.
func toOTel(t *storage.Trace) trace.SpanContext {
	config := trace.SpanContextConfig{TraceID: t.ID, SpanID: t.Span, Remote: true}
	if t.Sampled {
		config.TraceFlags = trace.FlagsSampled
	}
	if state, err := trace.ParseTraceState(t.State); err == nil {
		config.TraceState = state
	}
	return trace.NewSpanContext(config)
}

func fromOTel(c trace.SpanContext) *storage.Trace {
	return &storage.Trace{ID: c.TraceID(), Span: c.SpanID(), Sampled: c.IsSampled(), State: c.TraceState().String()}
}
