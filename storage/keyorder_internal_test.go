package storage

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestG2_WritesAreMadeInKeyOrder: whatever comes in whatever order, it is the
// order of the keys, and of two words on one key the later one comes last.
func TestG2_WritesAreMadeInKeyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		writes := make([]batchWrite, n)
		for i := range writes {
			numbers, places := 1+random.IntN(3), 1+random.IntN(2*n)
			k := keyspace(random.IntN(numbers) << (8 * random.IntN(4)))
			key := k.place([]tag{tagQueue, tagClaim, tagHistory}[random.IntN(3)], place{ms: int64(random.IntN(places)), seq: 7})
			if random.IntN(5) == 0 {
				key = k.prefix(tagMeta)
			}
			writes[i].key = string(key)
		}
		want := make([]int32, n)
		for i := range want {
			want[i] = int32(i)
		}
		slices.SortStableFunc(want, func(a, b int32) int { return strings.Compare(writes[a].key, writes[b].key) })
		if got := inKeyOrder(writes); !slices.Equal(got, want) {
			t.Fatalf("%d writes: the order is %v, want %v", n, got, want)
		}
	}
}
