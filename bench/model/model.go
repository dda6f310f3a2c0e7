// Package model times one model in process: how long it takes to load and to run, and
// how much memory that costs. It is what `aimass bench model` prints, made to be compared
// with other engines run the same way.
package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	goruntime "runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/feed"
	"github.com/aimass/aimass/runtime/tensor"
)

// Options of a measurement.
type Options struct {
	Model    string
	Shapes   []string // name=1x128[:dtype], split at the last '='
	Inputs   string   // a test_data_set folder to take the inputs from instead
	Threads  int
	Duration time.Duration
}

// Result of a measurement; LoadNS covers reading, compiling and packing for the shapes.
type Result struct {
	Model   string `json:"model"`
	Threads int    `json:"threads"`
	ISA     string `json:"isa"`
	LoadNS  int64  `json:"load_ns"`
	BestNS  int64  `json:"best_ns"`
	P50NS   int64  `json:"p50_ns"`
	P99NS   int64  `json:"p99_ns"`
	Runs    int    `json:"runs"`
	PeakRSS int64  `json:"peak_rss_bytes"`
}

// maxSamples bounds the memory of a long run of a fast model.
const maxSamples = 1 << 20

// Run measures.
func Run(o Options) (*Result, error) {
	if o.Threads <= 0 {
		o.Threads = 1
	}
	began := time.Now()
	engine := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: o.Threads}})
	m, err := engine.Open(o.Model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Model, err)
	}
	defer m.Close()
	opened := time.Since(began)
	in, err := inputs(m, o)
	if err != nil {
		return nil, err
	}
	began = time.Now()
	if err := m.Prepare(in); err != nil {
		return nil, err
	}
	r := &Result{Model: o.Model, Threads: o.Threads, ISA: isa.Current().Level.String(), LoadNS: int64(opened + time.Since(began))}
	call := &device.Call{In: in, Threads: o.Threads}
	ctx := context.Background()
	once := func() error {
		if err := m.Run(ctx, call); err != nil {
			return err
		}
		call.Release()
		return nil
	}
	if err := once(); err != nil {
		return nil, err
	}
	samples := make([]int64, 0, 1<<14)
	turn := time.Now()
	for end := time.Now().Add(o.Duration); time.Now().Before(end) || len(samples) < 3; {
		t := time.Now()
		if err := once(); err != nil {
			return nil, err
		}
		samples = append(samples, int64(time.Since(t)))
		if time.Since(turn) > time.Millisecond { // as a server's goroutine does between requests; see runtime/cpu on long turns
			goruntime.Gosched()
			turn = time.Now()
		}
		if len(samples) == maxSamples {
			break
		}
	}
	sort.Slice(samples, func(i, j int) bool { return samples[i] < samples[j] })
	r.Runs, r.BestNS, r.P50NS, r.P99NS = len(samples), samples[0], samples[len(samples)/2], samples[len(samples)*99/100]
	r.PeakRSS = peakRSS()
	return r, nil
}

// peakRSS reads the process's high-water mark; 0 where the system does not tell.
func peakRSS() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, l := range strings.Split(string(b), "\n") {
		if f := strings.Fields(l); len(f) == 3 && f[0] == "VmHWM:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func inputs(m *runtime.Model, o Options) ([]tensor.Value, error) {
	shapes, err := feed.ParseShapes(o.Shapes)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var in []tensor.Value
	for i, p := range m.Inputs {
		if o.Inputs != "" {
			v, err := feed.Read(o.Inputs, i, p.Name, p.Type)
			if err != nil {
				return nil, err
			}
			in = append(in, v)
			continue
		}
		s, given := shapes[p.Name]
		if !given {
			if s, err = feed.DefaultShape(p.Name, p.Type); err != nil {
				return nil, err
			}
		}
		delete(shapes, p.Name)
		t, err := feed.Random(rng, p.Name, p.Type, s)
		if err != nil {
			return nil, err
		}
		if err := m.Check(i, t); err != nil {
			return nil, err
		}
		in = append(in, t)
	}
	for name := range shapes {
		return nil, fmt.Errorf("--shape %s: the model has no such input", name)
	}
	return in, nil
}
