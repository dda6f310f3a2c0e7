package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aimass/aimass/pipeline"
)

// The metrics that have Triton's names and meanings, for dashboards made for it.
var (
	nvSuccess     = perModel("nv_inference_request_success", "Number of successful inference requests.")
	nvFailure     = desc("nv_inference_request_failure", "Number of failed inference requests.", "model", "version", "reason")
	nvCount       = perModel("nv_inference_count", "Number of inferences performed, a batch of n as n; no cached ones.")
	nvExecCount   = perModel("nv_inference_exec_count", "Number of model executions.")
	nvRequestUS   = perModel("nv_inference_request_duration_us", "Cumulative request time in microseconds.")
	nvQueueUS     = perModel("nv_inference_queue_duration_us", "Cumulative queue time in microseconds.")
	nvInputUS     = perModel("nv_inference_compute_input_duration_us", "Cumulative time to prepare inputs in microseconds.")
	nvInferUS     = perModel("nv_inference_compute_infer_duration_us", "Cumulative execution time in microseconds.")
	nvOutputUS    = perModel("nv_inference_compute_output_duration_us", "Cumulative time to hand out outputs in microseconds.")
	nvPending     = perModel("nv_inference_pending_request_count", "Number of requests waiting for execution.")
	nvCacheHits   = perModel("nv_cache_num_hits_per_model", "Number of cache hits.")
	nvCacheMisses = perModel("nv_cache_num_misses_per_model", "Number of cache misses.")
	nvCacheHitUS  = perModel("nv_cache_hit_duration_per_model", "Cumulative time of cache hits in microseconds.")
	nvCacheMissUS = perModel("nv_cache_miss_duration_per_model", "Cumulative time of cache misses in microseconds.")
)

func triton(out chan<- prometheus.Metric, v *pipeline.Served) {
	counter := func(d *prometheus.Desc, n int64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), v.Model, v.VersionText)
	}
	st, q := &v.Stats, v.Queue()
	counter(nvSuccess, st.Success.Count.Load())
	rejected, cancelled := q.Rejected.Load()+q.TimedOut.Load(), q.Cancelled.Load()
	failure := func(reason string, n int64) {
		out <- prometheus.MustNewConstMetric(nvFailure, prometheus.CounterValue, float64(n), v.Model, v.VersionText, reason)
	}
	failure("REJECTED", rejected)
	failure("CANCELED", cancelled)
	failure("BACKEND", 0)
	failure("OTHER", max(0, st.Fail.Count.Load()-rejected-cancelled))
	counter(nvCount, st.InferenceCount.Load())
	counter(nvExecCount, st.ExecutionCount.Load())
	counter(nvRequestUS, st.Success.NS.Load()/1000)
	counter(nvQueueUS, st.Queue.NS.Load()/1000)
	counter(nvInputUS, st.Input.NS.Load()/1000)
	counter(nvInferUS, st.Infer.NS.Load()/1000)
	counter(nvOutputUS, st.Output.NS.Load()/1000)
	out <- prometheus.MustNewConstMetric(nvPending, prometheus.GaugeValue, float64(q.Waiting.Load()), v.Model, v.VersionText)
	counter(nvCacheHits, st.CacheHit.Count.Load())
	counter(nvCacheMisses, st.CacheMiss.Count.Load())
	counter(nvCacheHitUS, st.CacheHit.NS.Load()/1000)
	counter(nvCacheMissUS, st.CacheMiss.NS.Load()/1000)
}
