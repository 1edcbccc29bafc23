package dispatch

import (
	"context"
	"log/slog"
)

// logger returns ctx.Log: the engine's logger with the attributes app, function,
// and for a job's run job, attempt and tags. They are made only when a record is
// logged, because most runs log nothing.
func (f *frame) logger() *slog.Logger {
	f.tags = tagHandler{base: f.env.Logger.Handler(), run: f}
	return slog.New(&f.tags)
}

type tagHandler struct {
	base slog.Handler
	run  *frame
}

func (h *tagHandler) tagged() slog.Handler {
	attrs := []slog.Attr{
		slog.String("app", string(h.run.env.App)),
		slog.String("function", h.run.fn.Path),
	}
	if job := h.run.env.Job; job.ID != "" {
		attrs = append(attrs, slog.String("job", string(job.ID)), slog.Int("attempt", job.Attempt))
		if len(job.Tags) > 0 {
			attrs = append(attrs, slog.Any("tags", job.Tags))
		}
	}
	return h.base.WithAttrs(attrs)
}

func (h *tagHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.base.Enabled(ctx, level)
}

func (h *tagHandler) Handle(ctx context.Context, record slog.Record) error {
	return h.tagged().Handle(ctx, record)
}

func (h *tagHandler) WithAttrs(attrs []slog.Attr) slog.Handler { return h.tagged().WithAttrs(attrs) }

func (h *tagHandler) WithGroup(name string) slog.Handler { return h.tagged().WithGroup(name) }
