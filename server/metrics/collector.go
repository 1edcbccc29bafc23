package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"carillon/actors"
	"carillon/storage"
)

// collector reads the engine's counters when it is asked.
type collector struct{ m *Metrics }

// metric is the description of one of ours.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("carillon_"+name, help, labels, nil)
}

var (
	lateness   = metric("job_lateness_seconds", "From when an attempt of a job was due until its handler began.")
	attempts   = metric("attempts_total", "Attempts of jobs that have ended, by how.", "end")
	jobs       = metric("jobs", "Jobs of all apps, by state.", "state")
	groups     = metric("groups", "Groups of jobs that have not ended.")
	apps       = metric("apps", "Apps that exist.")
	awake      = metric("apps_awake", "Apps that are in memory.")
	unreadable = metric("unreadable", "Apps and volumes whose counters cannot be read, and are in no other metric.")
	stuck      = metric("stuck_handlers", "Handlers that were given up and have not returned.")
	overdue    = metric("overdue_triggers", "Triggers without a success for longer than they may be.")
	wakes      = metric("app_wakes_total", "Apps that were taken up into memory.")
	sleeps     = metric("app_hibernations_total", "Apps that had nothing to do and left memory.")
	purged     = metric("purged_dead_jobs_total", "Dead jobs that were removed since they were kept long enough.")
	shed       = metric("shed_total", "Mutations that were refused since their volume was overloaded.")
	steps      = metric("clock_steps_total", "Steps of the wall clock of more than five minutes.")
	notes      = metric("clock_notes", "What a person should look at about the clock.")
	commits    = metric("commit_seconds", "From when changes were taken together until they were durable and answered.")
	weights    = metric("commit_bytes", "How much was committed together, about.")
	syncs      = metric("log_sync_seconds", "How long a sync of the log took.")
	copies     = metric("checkpoint_seconds", "How long it took to bring a volume's file up to date.")
	written    = metric("written_bytes_total", "Bytes written to the log and the files.")
	logBytes   = metric("log_bytes", "Size of the log, with what is kept of it for backups.")
	uncopied   = metric("log_uncopied_records", "Records of the log that the files do not have yet.")
	volumes    = metric("volumes", "Volumes of the store.")
	down       = metric("volumes_down", "Volumes whose apps are not served.")
	warnings   = metric("warnings", "Lines of what needs a person though all apps are served.")
	live       = metric("live_queries", "Live queries of all apps.")
	liveBytes  = metric("live_bytes", "What is retained of live queries, about.")
	liveRuns   = metric("live_runs_total", "Runs of live queries; equal ones share a run.")
	staleness  = metric("live_staleness_seconds", "From when something that a live query reads was written until the results had it.")
	refusals   = metric("refusals_total", "Requests that were refused because of who asks, or how often.", "door", "code")
)

// Describe implements prometheus.Collector: the metrics are looked at when they are collected.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	c.m.collectNode(to)
	w := c.m.watched.Load()
	if w == nil {
		return
	}
	gauge := func(desc *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), labels...)
	}
	count := func(desc *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	st, d := w.eng.Stats(), w.survey()

	to <- histogram(lateness, &st.Lateness, time.Second)
	collectAttempts(count, &st.Attempts)
	gauge(jobs, max(d.Pending-d.Running, 0), "pending")
	gauge(jobs, d.Running, "running")
	gauge(jobs, d.Held, "held")
	gauge(jobs, d.Dead, "dead")
	gauge(jobs, d.History, "finished")
	gauge(groups, d.Groups)
	gauge(apps, d.Apps)
	gauge(awake, d.Awake)
	gauge(unreadable, d.Unreadable)
	gauge(stuck, d.Stuck)
	gauge(overdue, st.Overdue)
	count(wakes, st.Wakes)
	count(sleeps, st.Hibernations)
	count(purged, st.PurgedDead)
	count(shed, st.Shed)
	count(steps, st.ClockSteps)
	gauge(notes, len(w.eng.Clock().Notes))

	to <- histogram(commits, &st.BatchTime, time.Second)
	to <- histogram(weights, &st.BatchBytes, 1)
	to <- histogram(syncs, &st.SyncTime, time.Second)
	to <- histogram(copies, &st.Checkpoints, time.Second)
	count(written, st.Written)
	gauge(logBytes, int(st.LogBytes))
	gauge(uncopied, int(st.Uncopied))

	all, isDown := w.eng.Volumes(), 0
	for _, v := range all {
		if v.Err != nil {
			isDown++
		}
	}
	gauge(volumes, len(all))
	gauge(down, isDown)
	lines := 0
	if err := w.eng.Warnings(); err != nil {
		lines = 1 + strings.Count(err.Error(), "\n")
	}
	gauge(warnings, lines)
	gauge(live, st.LiveQueries)
	gauge(liveBytes, int(st.LiveBytes))
	count(liveRuns, st.LiveRuns)
	to <- histogram(staleness, &st.Staleness, time.Second)
	if w.refusals != nil {
		for _, r := range w.refusals.Counts() {
			count(refusals, r.Count, r.Door, string(r.Code))
		}
	}
}

func collectAttempts(count func(*prometheus.Desc, int64, ...string), a *actors.AttemptCounts) {
	count(attempts, a.Success, "success")
	count(attempts, a.Retried, "retried")
	count(attempts, a.Dead, "dead")
	count(attempts, a.Postponed, "postponed")
	count(attempts, a.Interrupted, "interrupted")
	count(attempts, a.Held, "held")
	count(attempts, a.Canceled, "canceled")
}

// histogram is what was counted, in units of so much.
func histogram(desc *prometheus.Desc, c *storage.Histogram, of time.Duration) prometheus.Metric {
	buckets, n := map[float64]uint64{}, uint64(0)
	for i, m := range c.Counts[:len(c.Counts)-1] {
		n += m
		buckets[float64(c.Bound(i))/float64(of)] = n
	}
	n += c.Counts[len(c.Counts)-1]
	return prometheus.MustNewConstHistogram(desc, n, float64(c.Sum)/float64(of), buckets)
}
