package actorstest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"carillon/storage"
)

// apps runs a command that is about an app as a whole.
func (s *script) apps(words []string) (string, error) {
	id := storage.AppID(arg(words, 1))
	switch words[0] {
	case "export":
		var stream bytes.Buffer
		if err := s.h.Engine.Export(s.h.Context(), id, &stream); err != nil {
			return "", err
		}
		s.exported = stream.Bytes()
		return "", nil
	case "import":
		if s.exported == nil {
			return "", errors.New("nothing was exported")
		}
		return "", s.h.Engine.Import(s.h.Context(), id, bytes.NewReader(s.exported))
	case "delete-app":
		ctx := s.h.Context()
		if len(words) > 2 {
			within, err := time.ParseDuration(words[2])
			if err != nil {
				return "", err
			}
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, within)
			defer cancel()
		}
		return "", s.h.Engine.Delete(ctx, id)
	}
	ids, err := s.h.Engine.Apps()
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return strings.Join(names, "\n"), err
}
