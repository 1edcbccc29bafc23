package storage_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"testing"
	"time"

	"carillon/storage"
)

func mustKey(tb testing.TB, values ...any) []byte {
	tb.Helper()
	var key []byte
	for _, v := range values {
		k, err := storage.FieldKey(v)
		if err != nil {
			tb.Fatalf("key of %T %v: %v", v, v, err)
		}
		key = append(key, k...)
	}
	return key
}

func ptr[T any](v T) *T { return &v }

func TestFieldKeysSortLikeTheirValues(t *testing.T) {
	type named string
	far := time.FixedZone("far", 14*3600)
	at := time.Date(2024, 2, 29, 12, 0, 0, 1, time.UTC)
	tests := map[string][]any{ // each in ascending order
		"string":       {"", "\x00", "\x00\x00", "\x00\x01", "\x00a", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "aa", "b", "\u00e9", "\U0001f600", "\xff", "\xff\x00", "\xff\xff"},
		"named string": {named(""), named("a"), named("b")},
		"id":           {storage.ID[Note](""), storage.ID[Note]("0"), storage.ID[Note]("1")},
		"int":          {math.MinInt64, math.MinInt64 + 1, -256, -255, -1, 0, 1, 255, 256, math.MaxInt64},
		"int8":         {int8(-128), int8(-1), int8(0), int8(127)},
		"duration":     {-time.Hour, time.Duration(0), time.Nanosecond, time.Hour},
		"uint":         {uint(0), uint(1), uint(255), uint(256), uint(math.MaxUint64)},
		"float64": {
			math.Inf(-1), -math.MaxFloat64, -2.0, -1.5, -1.0, -math.SmallestNonzeroFloat64, 0.0,
			math.SmallestNonzeroFloat64, 0.1, 1.0, 1.5, math.MaxFloat64, math.Inf(1),
		},
		"float32": {float32(-1.5), float32(0), float32(math.SmallestNonzeroFloat32), float32(0.1), float32(3)},
		"bool":    {false, true},
		"time": {
			time.Time{},
			time.Unix(-1, 999_999_999), time.Unix(0, 0), time.Unix(0, 1), at.In(far).Add(-time.Nanosecond),
			at, at.In(far).Add(time.Nanosecond), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		},
		"pointer to int":    {(*int)(nil), ptr(math.MinInt), ptr(0), ptr(1)},
		"pointer to string": {(*string)(nil), ptr(""), ptr("a")},
		"pointer to bool":   {(*bool)(nil), ptr(false), ptr(true)},
		"pointer to time":   {(*time.Time)(nil), ptr(time.Time{}), ptr(at)},
	}
	for name, values := range tests {
		t.Run(name, func(t *testing.T) {
			for i, a := range values {
				for j, b := range values {
					if got := bytes.Compare(mustKey(t, a), mustKey(t, b)); got != cmp.Compare(i, j) {
						t.Errorf("key of %v against key of %v: %d, want %d", a, b, got, cmp.Compare(i, j))
					}
					if i != j && bytes.HasPrefix(mustKey(t, b), mustKey(t, a)) {
						t.Errorf("the key of %v begins with that of %v", b, a)
					}
				}
			}
		})
	}
}

func TestFieldKeysOfEqualValuesAreEqual(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 0, 0, 1, time.UTC)
	now := time.Now()
	tests := map[string][2]any{
		"minus zero":      {math.Copysign(0, -1), 0.0},
		"zones":           {at, at.In(time.FixedZone("far", -12*3600))},
		"monotonic clock": {now, now.Round(0)},
	}
	for name, tt := range tests {
		if !bytes.Equal(mustKey(t, tt[0]), mustKey(t, tt[1])) {
			t.Errorf("%s: the keys of %v and %v differ", name, tt[0], tt[1])
		}
	}
}

// The layouts are on disk: one that changes needs a kind of another name.
func TestFieldKeyLayouts(t *testing.T) {
	for want, value := range map[string]any{
		"6100ff620000":             "a\x00b",
		"800000000000012c":         300,
		"7fffffffffffffff":         int8(-1),
		"000000000000012c":         uint16(300),
		"bff8000000000000":         1.5,
		"400fffffffffffff":         float32(-1.0),
		"01":                       true,
		"00":                       (*string)(nil),
		"016100ff0000":             ptr("a\x00"),
		"800000003b9aca0000000007": time.Unix(1_000_000_000, 7),
	} {
		if got := fmt.Sprintf("%x", mustKey(t, value)); got != want {
			t.Errorf("key of %T %v is %s, want %s", value, value, got, want)
		}
	}
}

func TestNaNHasNoFieldKey(t *testing.T) {
	for _, v := range []any{math.NaN(), -math.NaN(), float32(math.NaN()), ptr(math.NaN())} {
		if key, err := storage.FieldKey(v); err == nil {
			t.Errorf("NaN as %T got key %x", v, key)
		}
	}
}

func TestKindsWithoutFieldKey(t *testing.T) {
	for _, v := range []any{[]byte("a"), [16]byte{}, map[string]int{}, struct{}{}, complex(1, 1), any(ptr(ptr(1))), func() {}, uintptr(1)} {
		if key, err := storage.FieldKey(v); err == nil {
			t.Errorf("a %T got key %x", v, key)
		}
	}
}

// FuzzFieldKey takes two records of one value of each kind and holds the order
// of their keys against the order of the values, alone and as one compound key.
func FuzzFieldKey(f *testing.F) {
	f.Add("", "\x00", int64(0), int64(-1), uint64(0), uint64(1), 0.0, math.Copysign(0, -1), int64(0), int64(1), false, true)
	f.Add("a", "a\x00", int64(math.MinInt64), int64(math.MaxInt64), uint64(255), uint64(256), -1.5, 1e300, int64(-62135596800), int64(253402300799), true, true)
	f.Add("a\x00\xff", "a\xff", int64(1), int64(1), uint64(7), uint64(7), math.Inf(-1), math.Inf(1), int64(5), int64(5), true, false)
	f.Fuzz(func(t *testing.T, s1, s2 string, i1, i2 int64, u1, u2 uint64, f1, f2 float64, t1, t2 int64, b1, b2 bool) {
		const years = 1 << 40 // seconds; beyond, time.Time itself wraps around
		time1, time2 := time.Unix(t1%years, i1&0xffffff), time.Unix(t2%years, i2&0xffffff).UTC()
		bit := map[bool]int{true: 1}
		type pair struct {
			a, b any
			want int
		}
		pairs := []pair{
			{s1, s2, cmp.Compare(s1, s2)},
			{i1, i2, cmp.Compare(i1, i2)},
			{u1, u2, cmp.Compare(u1, u2)},
			{time1, time2, time1.Compare(time2)},
			{b1, b2, cmp.Compare(bit[b1], bit[b2])},
			{&s1, &s2, cmp.Compare(s1, s2)},
			{(*int64)(nil), &i2, -1},
		}
		if !math.IsNaN(f1) && !math.IsNaN(f2) {
			pairs = append(pairs, pair{f1, f2, cmp.Compare(f1, f2)})
			pairs = append(pairs, pair{float32(f1), float32(f2), cmp.Compare(float32(f1), float32(f2))})
		}
		var all1, all2 []byte
		want := 0
		for _, p := range pairs {
			k1, k2 := mustKey(t, p.a), mustKey(t, p.b)
			if got := bytes.Compare(k1, k2); got != p.want {
				t.Errorf("keys of %T %v and %v: order %d, want %d", p.a, p.a, p.b, got, p.want)
			}
			all1, all2 = append(all1, k1...), append(all2, k2...)
			if want == 0 {
				want = p.want
			}
			if got := bytes.Compare(all1, all2); got != want {
				t.Errorf("compound keys up to %T: order %d, want %d", p.a, got, want)
			}
		}
	})
}
