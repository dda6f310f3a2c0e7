// Package metrics shows the server's counters to Prometheus. Nothing is counted here: each scrape reads what pipeline,
// batcher, cache and service count anyway, so that requests pay nothing for it.
//
// Neighbours: server runs the Handler on a listener of its own.
//
// Concurrency: a Handler is safe for concurrent use.
package metrics

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/aimass/aimass/internal/hist"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/server/service"
)

// Config of the metrics.
type Config struct {
	// NoTritonNames leaves the metrics out that have the names of Triton's, for dashboards made for it. Default: they are
	// there.
	NoTritonNames bool
	// GPUs are shown too, where they are given.
	GPUs *GPUs
}

// Handler answers scrapes of service's server.
func Handler(cfg Config, s *service.Service) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{cfg: cfg, service: s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// collector reads the counters of everything. It describes nothing in advance, since models come and go.
type collector struct {
	cfg     Config
	service *service.Service
}

func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the counters.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	counter := prometheus.CounterValue
	c.service.Counts.Each(func(protocol, code string, n int64) {
		out <- prometheus.MustNewConstMetric(serverRequests, counter, float64(n), protocol, code)
	})
	st := c.service.Pipeline().Cache().Stats()
	out <- prometheus.MustNewConstMetric(cacheHits, counter, float64(st.AllHits()))
	out <- prometheus.MustNewConstMetric(cacheMisses, counter, float64(st.Misses.Load()))
	out <- prometheus.MustNewConstMetric(cacheShared, counter, float64(st.Shared.Load()))
	out <- prometheus.MustNewConstMetric(cacheEvictions, counter, float64(st.Evictions.Load()))
	out <- prometheus.MustNewConstMetric(cacheCollisions, counter, float64(st.Collisions.Load()))
	out <- prometheus.MustNewConstMetric(cacheBytes, prometheus.GaugeValue, float64(c.service.Pipeline().Cache().Bytes()))
	if c.cfg.GPUs != nil {
		c.cfg.GPUs.collect(out, !c.cfg.NoTritonNames)
	}
	if st := c.service.Pipeline().Cache().SecondStats(); st != nil {
		for event, n := range map[string]int64{"hit": st.Hits.Load(), "miss": st.Misses.Load(), "error": st.Errors.Load(), "write": st.Writes.Load(), "dropped": st.Dropped.Load()} {
			out <- prometheus.MustNewConstMetric(cacheSecond, counter, float64(n), event)
		}
	}
	c.service.Pipeline().Each(func(v *pipeline.Served) {
		c.model(out, v)
		if !c.cfg.NoTritonNames {
			triton(out, v)
		}
		if s := c.service.Pipeline().Shadow(v.Model); s != nil && s.Version() == v.Version {
			shadow(out, v, s)
		}
	})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// The metrics of the server and the cache.
var (
	serverRequests  = desc("aimass_server_requests_total", "Requests answered, by protocol and error code.", "protocol", "code")
	cacheHits       = desc("aimass_cache_hits_total", "Predictions answered from the cache.")
	cacheMisses     = desc("aimass_cache_misses_total", "Predictions looked up in vain.")
	cacheShared     = desc("aimass_cache_shared_total", "Predictions that waited for an equal one in flight.")
	cacheEvictions  = desc("aimass_cache_evictions_total", "Entries dropped to make room.")
	cacheCollisions = desc("aimass_cache_collisions_total", "Entries found by hash whose key was another.")
	cacheSecond     = desc("aimass_cache_second_tier_total", "What the cache's second tier did.", "event")
	cacheBytes      = desc("aimass_cache_bytes", "Memory of the cache's entries.")
)

func perModel(name, help string) *prometheus.Desc { return desc(name, help, "model", "version") }

// The metrics of each model version.
var (
	requestDuration = perModel("aimass_pipeline_request_duration_seconds", "Time of a successful request from its inputs to its outputs.")
	queueDuration   = perModel("aimass_batcher_queue_duration_seconds", "Time that a request waited for a free instance.")
	inferDuration   = perModel("aimass_runtime_infer_duration_seconds", "Time that the model ran, for each request.")
	requestFailures = perModel("aimass_pipeline_request_failures_total", "Requests that failed.")
	requestsPending = perModel("aimass_pipeline_requests_pending", "Requests being answered.")
	queueWaiting    = perModel("aimass_batcher_queue_requests", "Requests that wait for a free instance.")
	queueRejected   = perModel("aimass_batcher_rejected_total", "Requests refused because the queue was full.")
	queueTimedOut   = perModel("aimass_batcher_timed_out_total", "Requests whose time ran out before an answer.")
	queueCancelled  = perModel("aimass_batcher_cancelled_total", "Requests whose caller went away.")
	executions      = perModel("aimass_batcher_executions_total", "Batches executed.")
	rowsExecuted    = perModel("aimass_batcher_rows_total", "Rows executed.")
	sequencesLive   = perModel("aimass_pipeline_sequences", "Sequences whose state is kept.")
	stepDuration    = desc("aimass_pipeline_step_seconds_total", "Time that a step of an ensemble took, over all requests.", "model", "version", "step", "step_model")
	stepRequests    = desc("aimass_pipeline_step_requests_total", "Requests to a step of an ensemble, by outcome.", "model", "version", "step", "step_model", "outcome")
	shadowRequests  = desc("aimass_pipeline_shadow_requests_total", "Copies of requests that a shadow ran, whose answer differed, failed, or had no room.", "model", "version", "result")
	weightBytes     = desc("aimass_runtime_weights_bytes", "Memory of the weights: owned, or mapped from the file.", "model", "version", "kind")
)

// shadow shows how a shadow's answers compare with those of the version that serves.
func shadow(out chan<- prometheus.Metric, v *pipeline.Served, s *pipeline.Shadow) {
	for result, n := range map[string]int64{"mirrored": s.Stats.Mirrored.Load(), "differing": s.Stats.Differing.Load(), "failed": s.Stats.Failed.Load(), "dropped": s.Stats.Dropped.Load()} {
		out <- prometheus.MustNewConstMetric(shadowRequests, prometheus.CounterValue, float64(n), v.Model, v.VersionText, result)
	}
}

// limits of the histograms' buckets, in nanoseconds: 1, 2, 5 steps from 10 µs to 10 s.
var limits = []int64{10e3, 20e3, 50e3, 100e3, 200e3, 500e3, 1e6, 2e6, 5e6, 10e6, 20e6, 50e6, 100e6, 200e6, 500e6, 1e9, 2e9, 5e9, 10e9}

func (c *collector) model(out chan<- prometheus.Metric, v *pipeline.Served) {
	labels := []string{v.Model, v.VersionText}
	histogram := func(d *prometheus.Desc, h *hist.Histogram) {
		n, sum, below := h.Snapshot(limits)
		buckets := make(map[float64]uint64, len(limits))
		for i, limit := range limits {
			buckets[float64(limit)/1e9] = below[i]
		}
		out <- prometheus.MustNewConstHistogram(d, n, float64(sum)/1e9, buckets, labels...)
	}
	add := func(d *prometheus.Desc, kind prometheus.ValueType, value int64) {
		out <- prometheus.MustNewConstMetric(d, kind, float64(value), labels...)
	}
	st, q := &v.Stats, v.Queue()
	histogram(requestDuration, &st.RequestHist)
	histogram(queueDuration, &st.QueueHist)
	histogram(inferDuration, &st.InferHist)
	add(requestFailures, prometheus.CounterValue, st.Fail.Count.Load())
	add(requestsPending, prometheus.GaugeValue, st.Pending.Load())
	add(queueWaiting, prometheus.GaugeValue, q.Waiting.Load())
	add(queueRejected, prometheus.CounterValue, q.Rejected.Load())
	add(queueTimedOut, prometheus.CounterValue, q.TimedOut.Load())
	add(queueCancelled, prometheus.CounterValue, q.Cancelled.Load())
	add(executions, prometheus.CounterValue, q.Executions.Load())
	add(rowsExecuted, prometheus.CounterValue, q.Rows.Load())
	add(sequencesLive, prometheus.GaugeValue, int64(v.LiveSequences()))
	for _, s := range v.StepStats() {
		step := strconv.Itoa(s.Step)
		out <- prometheus.MustNewConstMetric(stepDuration, prometheus.CounterValue, float64(s.Success.NS.Load()+s.Fail.NS.Load())/1e9, v.Model, v.VersionText, step, s.Model)
		out <- prometheus.MustNewConstMetric(stepRequests, prometheus.CounterValue, float64(s.Success.Count.Load()), v.Model, v.VersionText, step, s.Model, "ok")
		out <- prometheus.MustNewConstMetric(stepRequests, prometheus.CounterValue, float64(s.Fail.Count.Load()), v.Model, v.VersionText, step, s.Model, "failed")
	}
	if v.Features != nil {
		drift(out, v)
	}
	owned, mapped := v.Runtime.WeightBytes()
	out <- prometheus.MustNewConstMetric(weightBytes, prometheus.GaugeValue, float64(owned), v.Model, v.VersionText, "owned")
	out <- prometheus.MustNewConstMetric(weightBytes, prometheus.GaugeValue, float64(mapped), v.Model, v.VersionText, "mapped")
}
