package workload

import (
	"slices"
	"time"
)

// Row is one result. What has no meaning for the workload is absent.
type Row struct {
	System    string  `json:"system,omitempty"`
	Workload  string  `json:"workload"`
	Callers   int     `json:"callers,omitzero"`
	Apps      int     `json:"apps,omitzero"`
	Jobs      int     `json:"jobs,omitzero"`
	Seconds   float64 `json:"seconds,omitzero"`
	PerSecond float64 `json:"per_second,omitzero"`

	// Of the latency of calls, or of the lateness of starts.
	P50 *float64 `json:"p50_ms,omitempty"`
	P99 *float64 `json:"p99_ms,omitempty"`
	Max *float64 `json:"max_ms,omitempty"`

	Early   *int     `json:"early,omitempty"`  // jobs that started before they were due
	RSS     *float64 `json:"rss_mb,omitempty"` // resident memory at the end, after a collection
	Flushes *int64   `json:"flushes,omitempty"`

	BytesWritten *int64   `json:"bytes_written,omitempty"` // to files: see account
	BytesPerJob  *float64 `json:"bytes_per_job,omitempty"`
	wroteFor     int      // how many jobs those are of, if not Jobs; negative: of none

	BytesPerApp    *float64 `json:"bytes_per_app,omitempty"`    // memory of an app that sleeps
	BytesPerWaiter *float64 `json:"bytes_per_waiter,omitempty"` // memory of a call that waits, and of its goroutine
	FileMB         *float64 `json:"file_mb,omitempty"`          // size of the data on disk
}

// spent sets how long the row's work took, and the rate of n.
func (r *Row) spent(d time.Duration, n int) {
	r.Seconds = d.Seconds()
	if d > 0 {
		r.PerSecond = float64(n) / d.Seconds()
	}
}

// spread sets the percentiles of the spans, which it sorts.
func (r *Row) spread(spans []time.Duration) {
	if len(spans) == 0 {
		return
	}
	slices.Sort(spans)
	r.P50 = new(milliseconds(percentile(spans, 0.50)))
	r.P99 = new(milliseconds(percentile(spans, 0.99)))
	r.Max = new(milliseconds(spans[len(spans)-1]))
}

// lateness sets what there is to say of how late jobs have started.
func (r *Row) lateness(late []time.Duration) {
	r.spread(late)
	early, _ := slices.BinarySearch(late, 0)
	r.Early = &early
}

// percentile is the smallest of the sorted spans that a share q of them does not exceed.
func percentile(sorted []time.Duration, q float64) time.Duration {
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
