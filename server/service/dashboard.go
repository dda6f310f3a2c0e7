package service

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aimass/aimass/pipeline"
)

// Dashboard is the server at one moment, as its page shows it. Counters only grow, so that the
// page makes rates and percentiles of an interval from two of them.
type Dashboard struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Time    time.Time `json:"time"`
	Ready   bool      `json:"ready"`
	// LimitsNS are the upper limits of the counts in Latency.
	LimitsNS []int64           `json:"limits_ns"`
	Requests []RequestCount    `json:"requests"`
	Cache    DashboardCache    `json:"cache"`
	Models   []*DashboardModel `json:"models"`
	GPUs     []DashboardGPU    `json:"gpus"`
	Jobs     []DashboardJob    `json:"jobs"`
}

// RequestCount counts the answers of one code; "" is success.
type RequestCount struct {
	Protocol string `json:"protocol"`
	Code     string `json:"code"`
	Count    int64  `json:"count"`
}

// DashboardCache tells of the prediction cache.
type DashboardCache struct {
	Hits   int64 `json:"hits"`
	Misses int64 `json:"misses"`
	Bytes  int64 `json:"bytes"`
}

// DashboardModel is a model with what is decided about its versions; a version of 0 is none.
type DashboardModel struct {
	Name          string              `json:"name"`
	Stable        int64               `json:"stable"`
	Canary        int64               `json:"canary"`
	CanaryPercent float64             `json:"canary_percent"`
	Shadow        int64               `json:"shadow"`
	ShadowPercent float64             `json:"shadow_percent"`
	Aliases       map[string]int64    `json:"aliases"`
	Versions      []*DashboardVersion `json:"versions"`
}

// DashboardVersion is a version; counters are there for those that serve.
type DashboardVersion struct {
	Version string `json:"version"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
	Serves  bool   `json:"serves"`
	// Requests succeeded, Failures did not; Pending are under way, Waiting wait for an instance.
	Requests int64 `json:"requests"`
	Failures int64 `json:"failures"`
	Pending  int64 `json:"pending"`
	Waiting  int64 `json:"waiting"`
	Hits     int64 `json:"cache_hits"`
	// Latency counts the requests that took at most each limit.
	Latency []uint64 `json:"latency"`
	// Batches counts executions by their rows.
	Batches map[string]int64 `json:"batches"`
	Weights int64            `json:"weights_bytes"`
}

// DashboardGPU is a device; −1 is what it does not tell.
type DashboardGPU struct {
	UUID        string  `json:"uuid"`
	Name        string  `json:"name"`
	Lost        string  `json:"lost"`
	Used        int64   `json:"used_bytes"`
	Total       int64   `json:"total_bytes"`
	Utilization float64 `json:"utilization_percent"`
	Temperature float64 `json:"temperature_celsius"`
}

// DashboardJob is a training job that waits, runs or has ended lately.
type DashboardJob struct {
	ID      string `json:"id"`
	Trainer string `json:"trainer"`
	Model   string `json:"model"`
	State   string `json:"state"`
	Code    string `json:"code"`
}

// dashboardLimits are six a decade from 10 µs to 30 s: what a percentile on the page is exact to.
var dashboardLimits = func() (out []int64) {
	for decade := int64(10_000); decade <= 10_000_000_000; decade *= 10 {
		for _, tenths := range []int64{10, 15, 20, 30, 50, 70} {
			out = append(out, decade*tenths/10)
		}
	}
	return out[:len(out)-2]
}()

// latestJobs bounds the jobs that are shown.
const latestJobs = 12

// Dashboard looks at everything. The caller has passed Authorize: it tells of all models.
func (s *Service) Dashboard() *Dashboard {
	d := &Dashboard{Name: s.cfg.Name, Version: s.cfg.Version, Time: time.Now().UTC(), Ready: s.Ready(), LimitsNS: dashboardLimits,
		Requests: []RequestCount{}, Models: []*DashboardModel{}, GPUs: []DashboardGPU{}, Jobs: []DashboardJob{}}
	s.Counts.Each(func(protocol, code string, n int64) { d.Requests = append(d.Requests, RequestCount{protocol, code, n}) })
	c := s.pipe.Cache()
	d.Cache = DashboardCache{Hits: int64(c.Stats().AllHits()), Misses: int64(c.Stats().Misses.Load()), Bytes: c.Bytes()}
	models := map[string]*DashboardModel{}
	find := func(model, version string) *DashboardVersion {
		m := models[model]
		if m == nil {
			r := s.pipe.Rules(model)
			m = &DashboardModel{Name: model, Stable: r.Stable, Canary: r.Canary, CanaryPercent: 100 * r.CanaryShare, Shadow: r.Shadow, ShadowPercent: 100 * r.ShadowShare, Aliases: map[string]int64{}}
			maps.Copy(m.Aliases, r.Aliases)
			models[model] = m
		}
		for _, v := range m.Versions {
			if v.Version == version {
				return v
			}
		}
		v := &DashboardVersion{Version: version, Latency: []uint64{}, Batches: map[string]int64{}}
		m.Versions = append(m.Versions, v)
		return v
	}
	for _, i := range s.control.Index() {
		v := find(i.Name, i.Version)
		v.State, v.Reason = i.State, i.Reason
	}
	s.pipe.Each(func(served *pipeline.Served) { find(served.Model, served.VersionText).fill(served) })
	for _, name := range slices.Sorted(maps.Keys(models)) {
		m := models[name]
		slices.SortFunc(m.Versions, func(a, b *DashboardVersion) int {
			return cmp.Or(cmp.Compare(len(b.Version), len(a.Version)), cmp.Compare(b.Version, a.Version))
		})
		d.Models = append(d.Models, m)
	}
	if s.cfg.GPUs != nil {
		d.GPUs = append(d.GPUs, s.cfg.GPUs()...)
	}
	if r := s.cfg.Training; r != nil {
		for _, j := range r.List() {
			if len(d.Jobs) == latestJobs {
				break
			}
			out := DashboardJob{ID: j.ID, Trainer: j.Request.Trainer, Model: j.Request.Model, State: string(j.State)}
			if j.Error != nil {
				out.Code = string(j.Error.Code)
			}
			d.Jobs = append(d.Jobs, out)
		}
	}
	return d
}

func (v *DashboardVersion) fill(served *pipeline.Served) {
	st := &served.Stats
	v.Serves = true
	v.State = cmp.Or(v.State, "READY")
	v.Requests, v.Failures, v.Pending = st.Success.Count.Load(), st.Fail.Count.Load(), st.Pending.Load()
	v.Waiting, v.Hits = served.Queue().Waiting.Load(), st.CacheHit.Count.Load()
	_, _, v.Latency = st.RequestHist.Snapshot(dashboardLimits)
	st.Batches(func(rows int, b *pipeline.BatchStats) { v.Batches[strconv.Itoa(rows)] = b.Infer.Count.Load() })
	owned, mapped := served.Runtime.WeightBytes()
	v.Weights = owned + mapped
}
