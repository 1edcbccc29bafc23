package otel_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server/otel"
	"carillon/storage"
)

// TestRunsAreSpans: a call is in its caller's trace, what it runs inside of itself is below it, and each
// attempt of the job that it schedules is a trace of its own that is linked to it.
func TestRunsAreSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	reg, tries := dispatch.NewRegistry(), 0
	reg.Use(otel.Middleware(provider))
	var told []string
	job := dispatch.Mutation[dispatch.None, dispatch.None]("t:job")
	job.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		if tries++; tries == 1 {
			return dispatch.None{}, dispatch.Errorf(dispatch.CodeUnavailable, "the secret")
		}
		return dispatch.None{}, nil
	})
	inner := dispatch.Mutation[dispatch.None, dispatch.None]("t:inner")
	inner.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		_, err := ctx.Scheduler.RunAfter(time.Minute, job.With(dispatch.None{}))
		return dispatch.None{}, err
	})
	outer := dispatch.Action[dispatch.None, dispatch.None]("t:outer")
	outer.Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (dispatch.None, error) {
		told = append(told, dispatch.TraceOf(ctx).Span.Traceparent(), api.SpanContextFromContext(ctx).TraceID().String())
		return inner.Run(ctx, dispatch.None{})
	})
	bad := dispatch.Action[dispatch.None, dispatch.None]("t:bad")
	bad.Handle(reg, func(*dispatch.ActionCtx, dispatch.None) (dispatch.None, error) {
		panic("the secret")
	})
	actorstest.Run(t, actors.Options{Functions: reg}, func(h *actorstest.Harness) {
		const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		ctx := dispatch.WithTrace(h.Context(), storage.ParseTrace(parent, "a=1"))
		if _, err := outer.Run(h.App("acme").As(ctx, nil), dispatch.None{}); err != nil {
			t.Fatal(err)
		}
		h.Restart() // the link is in the job's record
		h.Advance(5 * time.Minute)
		if _, err := bad.Run(h.App("acme").As(h.Context(), nil), dispatch.None{}); err == nil {
			t.Error("it has not panicked")
		}
		byName := map[string][]trace.ReadOnlySpan{}
		for _, s := range spans.Ended() {
			byName[s.Name()] = append(byName[s.Name()], s)
		}
		if len(byName["t:outer"]) != 1 || len(byName["t:inner"]) != 1 || len(byName["t:job"]) != 2 || len(byName["t:bad"]) != 1 {
			t.Fatalf("the spans are %v", byName)
		}
		out, in := byName["t:outer"][0], byName["t:inner"][0]
		if p := out.Parent(); p.TraceID().String() != parent[3:35] || p.SpanID().String() != parent[36:52] || !p.IsRemote() || p.TraceState().String() != "a=1" ||
			out.SpanContext().TraceID() != p.TraceID() || out.SpanKind() != api.SpanKindServer {
			t.Errorf("the call's parent is %v", out.Parent())
		}
		if own := out.SpanContext(); len(told) != 2 || told[0] != "00-"+own.TraceID().String()+"-"+own.SpanID().String()+"-01" || told[1] != own.TraceID().String() {
			t.Errorf("the handler was told %q", told)
		}
		if in.Parent().SpanID() != out.SpanContext().SpanID() || in.SpanContext().TraceID() != out.SpanContext().TraceID() {
			t.Errorf("what ran inside has the parent %v", in.Parent())
		}
		for i, s := range byName["t:job"] {
			links := s.Links()
			if s.Parent().IsValid() || s.SpanContext().TraceID() == out.SpanContext().TraceID() || s.SpanKind() != api.SpanKindConsumer ||
				len(links) != 1 || links[0].SpanContext.SpanID() != in.SpanContext().SpanID() || links[0].SpanContext.TraceID() != in.SpanContext().TraceID() {
				t.Errorf("attempt %d is below %v, linked to %v", i+1, s.Parent(), links)
			}
			at := attribute.NewSet(s.Attributes()...)
			if n, _ := at.Value("carillon.job.attempt"); n.AsInt64() != int64(i+1) {
				t.Errorf("attempt %d has %v", i+1, s.Attributes())
			}
		}
		if byName["t:job"][0].SpanContext().TraceID() == byName["t:job"][1].SpanContext().TraceID() {
			t.Error("two attempts are one trace")
		}
		if s := byName["t:job"][0].Status(); s.Code != codes.Error || s.Description != "unavailable" {
			t.Errorf("the failed attempt is %v", s)
		}
		if s := byName["t:job"][1].Status(); s.Code != codes.Unset {
			t.Errorf("the good attempt is %v", s)
		}
		if s := byName["t:bad"][0]; s.Status().Description != "internal" || s.Parent().IsValid() {
			t.Errorf("the panic is %v below %v", s.Status(), s.Parent())
		}
	})
	if err := provider.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
