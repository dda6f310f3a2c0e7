package model

import (
	"context"
	"errors"
	goruntime "runtime"
	"sort"
	"sync"
	"time"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// BusyOptions of a measurement of models that are all busy at the same time.
type BusyOptions struct {
	Model   string
	Shapes  []string
	Inputs  string
	Cores   int // threads of the engine; 0 means GOMAXPROCS
	Copies  int // of the model, each loaded for itself
	Callers int // of each copy, always with a call in flight
	Threads int // that each call may use; 0 means Cores
	Rounds  int
	// Duration is how long one part of a round takes.
	Duration time.Duration
}

// BusyResult compares the calls that all copies answer together with those that one copy answers
// alone to one caller who may use all cores.
type BusyResult struct {
	Model     string  `json:"model"`
	ISA       string  `json:"isa"`
	Cores     int     `json:"cores"`
	Copies    int     `json:"copies"`
	Callers   int     `json:"callers"`
	Threads   int     `json:"threads"`
	AlonePS   float64 `json:"alone_per_s"`
	BusyPS    float64 `json:"busy_per_s"`
	Aggregate float64 `json:"aggregate"` // median over the rounds of busy to alone
}

// busy is one copy and what its callers send.
type busy struct {
	m  *runtime.Model
	in []tensor.Value
}

// Busy measures, in rounds that take both ways in turn.
func Busy(o BusyOptions) (*BusyResult, error) {
	if o.Copies < 1 || o.Callers < 1 || o.Rounds < 1 {
		return nil, errors.New("there must be at least one copy, one caller and one round")
	}
	if o.Cores <= 0 {
		o.Cores = goruntime.GOMAXPROCS(0)
	}
	if o.Threads <= 0 {
		o.Threads = o.Cores
	}
	engine := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: o.Cores}})
	var copies []busy
	for range o.Copies {
		m, err := engine.Open(o.Model)
		if err != nil {
			return nil, err
		}
		defer m.Close()
		in, err := inputs(m, Options{Shapes: o.Shapes, Inputs: o.Inputs})
		if err != nil {
			return nil, err
		}
		copies = append(copies, busy{m, in})
	}
	r := &BusyResult{Model: o.Model, ISA: isa.Current().Level.String(), Cores: o.Cores, Copies: o.Copies, Callers: o.Callers, Threads: o.Threads}
	var alone, together, ratio []float64
	// The first round makes the plans and isn't counted.
	for round := range o.Rounds + 1 {
		a, err := rate(copies[:1], 1, o.Cores, o.Duration)
		if err != nil {
			return nil, err
		}
		b, err := rate(copies, o.Callers, o.Threads, o.Duration)
		if err != nil {
			return nil, err
		}
		if round > 0 {
			alone, together, ratio = append(alone, a), append(together, b), append(ratio, b/a)
		}
	}
	for _, v := range [][]float64{alone, together, ratio} {
		sort.Float64s(v)
	}
	middle := len(ratio) / 2
	r.AlonePS, r.BusyPS, r.Aggregate = alone[middle], together[middle], ratio[middle]
	return r, nil
}

// rate is the calls a second that the copies answer together: each caller's own, up to the end of
// its last call, so that a call that the end cuts short isn't lost.
func rate(copies []busy, callers, threads int, d time.Duration) (float64, error) {
	rates, errs := make([]float64, len(copies)*callers), make([]error, len(copies)*callers)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range rates {
		wg.Go(func() {
			c := copies[i/callers]
			call := &device.Call{In: c.in, Threads: threads}
			for n := 1; ; n++ {
				if errs[i] = c.m.Run(context.Background(), call); errs[i] != nil {
					return
				}
				call.Release()
				if took := time.Since(began); took >= d {
					rates[i] = float64(n) / took.Seconds()
					return
				}
			}
		})
	}
	wg.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum, errors.Join(errs...)
}
