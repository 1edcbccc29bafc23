package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"carillon/storage"
)

// TestTagsHaveBounds: tags within them are kept with the job wherever it lies; others are
// refused and change nothing.
func TestTagsHaveBounds(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	many := func(n int) (tags []string) {
		for i := range n {
			tags = append(tags, fmt.Sprint("t", i))
		}
		return tags
	}
	for _, tt := range []struct {
		tags []string
		ok   bool
	}{
		{nil, true},
		{many(storage.MaxTags), true},
		{many(storage.MaxTags + 1), false},
		{[]string{strings.Repeat("x", storage.MaxTag)}, true},
		{[]string{strings.Repeat("x", storage.MaxTag+1)}, false},
		{[]string{"größe, with a comma"}, true},
		{[]string{""}, false},
		{[]string{"a\nb"}, false},
		{[]string{"\x7f"}, false},
		{[]string{"a\xff"}, false},
		{[]string{"a", "b", "a"}, false},
	} {
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			id, err := tx.JobWriter().InsertJob(storage.Job{Function: "a:f", Due: testNow, Tags: tt.tags})
			if !tt.ok {
				if !errors.Is(err, storage.ErrInvalid) || !tx.Unchanged() {
					t.Errorf("tags %.80q: %v, want ErrInvalid and no change", tt.tags, err)
				}
				return
			}
			if err != nil {
				t.Errorf("tags %q: %v", tt.tags, err)
				return
			}
			mustEnd(t, tx, id, storage.End{State: storage.StateFailed, Error: &storage.JobError{Code: "internal"}})
			if job, _, err := tx.JobWriter().System().Get(id); err != nil || !slices.Equal(job.Tags, tt.tags) {
				t.Errorf("tags %q came back as %q, %v", tt.tags, job.Tags, err)
			}
		})
	}
}
