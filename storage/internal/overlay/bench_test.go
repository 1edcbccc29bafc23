package overlay

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// BenchmarkChange publishes changes of some keys each on top of 5,000 others: of keys that lie
// side by side, or anywhere.
func BenchmarkChange(b *testing.B) {
	for _, size := range []int{1, 64} {
		for name, next := range map[string]func(i int) uint64{
			"ascending": func(i int) uint64 { return uint64(i) },
			"anywhere":  func(int) uint64 { return rand.Uint64() },
		} {
			b.Run(name+"/"+map[int]string{1: "1", 64: "64"}[size], func(b *testing.B) {
				b.ReportAllocs()
				value := make([]byte, 166)
				var s *Stack
				for i := 0; b.Loop(); i++ {
					if i%(5000/size) == 0 {
						b.StopTimer()
						s = NewStack(2, 1)
						c := s.View().Change()
						for j := range 5000 {
							c.Put(0, binary.BigEndian.AppendUint64(nil, uint64(j)<<51), value)
						}
						s.Publish(c)
						b.StartTimer()
					}
					c := s.View().Change()
					for j := range size {
						c.Put(0, binary.BigEndian.AppendUint64(make([]byte, 0, 8), next(1<<40+i*size+j)), value)
					}
					s.Publish(c)
				}
			})
		}
	}
}
