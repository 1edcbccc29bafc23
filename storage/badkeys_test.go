package storage_test

import (
	"bytes"
	"testing"

	"carillon/storage"
	"carillon/storage/internal/kv"
)

// TestG37_AKeyOfAnotherLengthSpoilsNoListing: damage may make a key shorter, or longer. The
// listing shows that a job cannot be read and the others, on pages of any size, and the check
// names it. Nothing panics.
func TestG37_AKeyOfAnotherLengthSpoilsNoListing(t *testing.T) {
	for name, cut := range map[string]func(key []byte) []byte{
		"no place":    func(key []byte) []byte { return key[:5] },
		"half":        func(key []byte) []byte { return key[:12] },
		"a byte less": func(key []byte) []byte { return key[:20] },
		"a byte more": func(key []byte) []byte { return append(key, 7) },
	} {
		t.Run(name, func(t *testing.T) {
			s := mustOpenUnchecked(t)
			app := mustApp(t, s, "acme")
			mustFillApp(t, app)
			jobs := func(limit int) (shown, bad int) {
				t.Helper()
				mustRead(t, app, func(r storage.Reader) {
					for f := (storage.JobFilter{Limit: limit}); ; {
						page, err := r.System().List(f)
						if err != nil || shown > 100 {
							t.Fatal(shown, err)
						}
						for _, job := range page.Jobs {
							if shown++; job.Error != nil && job.Error.Code == "data_loss" {
								bad++
							}
						}
						if f.Cursor = page.Next; f.Cursor == "" {
							return
						}
					}
				})
				return shown, bad
			}
			want, bad := jobs(0)
			if want < 2 || bad != 0 {
				t.Fatalf("it has %d jobs, %d of them cannot be read", want, bad)
			}
			err := s.WriteVolume(0, func(tx *kv.Txn) error {
				c := tx.Base().Cursor(kv.Data)
				for k, _ := c.First(); k != nil; k, _ = c.Next() {
					if k[4] == 'q' {
						if err := tx.Delete(kv.Data, bytes.Clone(k)); err != nil {
							return err
						}
						return tx.Put(kv.Data, cut(bytes.Clone(k)), []byte("not what was there"))
					}
				}
				t.Error("there is no pending job")
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, limit := range []int{0, 1, 2} {
				if shown, bad := jobs(limit); shown != want || bad != 1 {
					t.Errorf("on pages of %d it shows %d jobs, %d of them as damage, want %d and 1", limit, shown, bad, want)
				}
			}
			if err := s.Check(); err == nil {
				t.Error("the check finds nothing wrong")
			}
		})
	}
}
