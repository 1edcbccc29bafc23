package dispatch

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync"

	"carillon/internal/brief"
	"carillon/storage"
)

// KeptLevel is the level from which on the lines are kept that a job logs. For engines.
const KeptLevel = slog.LevelInfo

// Lines keeps what the attempt of a job logs: a text of at most storage.MaxLogLine bytes of UTF-8. It
// is called from any number of goroutines and must not block. For engines.
type Lines func(level slog.Level, text string)

// logger returns ctx.Log: the engine's logger with the attributes app, function,
// and for a job's run job, attempt and tags. They are made only when a record is
// logged, because most runs log nothing. What a job logs is kept with it as well.
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
	if t := h.run.env.Trace; t != nil && t.Span != nil {
		attrs = append(attrs, slog.String("trace", hex.EncodeToString(t.Span.ID[:])))
	}
	base := h.base.WithAttrs(attrs)
	if h.run.env.Lines == nil {
		return base
	}
	return newKeeper(base, h.run.env.Lines)
}

func (h *tagHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.run.env.Lines != nil && level >= KeptLevel || h.base.Enabled(ctx, level)
}

func (h *tagHandler) Handle(ctx context.Context, record slog.Record) error {
	return h.tagged().Handle(ctx, record)
}

func (h *tagHandler) WithAttrs(attrs []slog.Attr) slog.Handler { return h.tagged().WithAttrs(attrs) }

func (h *tagHandler) WithGroup(name string) slog.Handler { return h.tagged().WithGroup(name) }

// keeper hands records on to the engine's logger, and those of KeptLevel as lines to what keeps them.
type keeper struct {
	base  slog.Handler
	lines Lines
	text  slog.Handler // writes what is behind the message
	into  *lineBuffer
}

type lineBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func newKeeper(base slog.Handler, lines Lines) *keeper {
	into := new(lineBuffer)
	text := slog.NewTextHandler(into, &slog.HandlerOptions{
		Level: KeptLevel,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
				return slog.Attr{}
			}
			return a
		},
	})
	return &keeper{base, lines, text, into}
}

func (k *keeper) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= KeptLevel || k.base.Enabled(ctx, level)
}

func (k *keeper) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= KeptLevel {
		k.lines(record.Level, k.line(ctx, record))
	}
	if !k.base.Enabled(ctx, record.Level) {
		return nil
	}
	return k.base.Handle(ctx, record)
}

// line is the message with the attributes behind it.
func (k *keeper) line(ctx context.Context, record slog.Record) string {
	k.into.mu.Lock()
	defer k.into.mu.Unlock()
	k.into.Reset()
	line := record.Message
	if err := k.text.Handle(ctx, record); err != nil {
		line += " (its attributes cannot be written: " + err.Error() + ")"
	} else if rest := strings.TrimSpace(k.into.String()); rest != "" {
		line += " " + rest
	}
	return brief.Cut(strings.ToValidUTF8(line, "\uFFFD"), storage.MaxLogLine)
}

func (k *keeper) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &keeper{k.base.WithAttrs(attrs), k.lines, k.text.WithAttrs(attrs), k.into}
}

func (k *keeper) WithGroup(name string) slog.Handler {
	return &keeper{k.base.WithGroup(name), k.lines, k.text.WithGroup(name), k.into}
}
