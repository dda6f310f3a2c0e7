package load

import (
	"context"
	"errors"
	"fmt"
)

// SweepOptions of a sweep: a load at rising concurrency or rate.
type SweepOptions struct {
	Options
	// Concurrencies or Rates are the points; with neither, concurrency doubles until the
	// throughput stops rising.
	Concurrencies []int
	Rates         []float64
}

// Point is one run of a sweep.
type Point struct {
	Concurrency int     `json:"concurrency,omitempty"`
	Rate        float64 `json:"rate,omitempty"`
	RPS         float64 `json:"throughput_rps"`
	GoodRPS     float64 `json:"goodput_rps"`
	P50         int64   `json:"p50_ns"`
	P99         int64   `json:"p99_ns"`
	Errors      int64   `json:"errors"`
	Knee        bool    `json:"knee,omitempty"`
}

// SweepResult is a curve and its knee.
type SweepResult struct {
	URL      string   `json:"url"`
	Models   []string `json:"models"`
	Protocol string   `json:"protocol"`
	Points   []Point  `json:"points"`
	// Knee is the index of the knee among Points.
	Knee int `json:"knee"`
}

// maxConcurrency ends a sweep that was given no points.
const maxConcurrency = 512

// Sweep runs the points; progress hears of each.
func Sweep(ctx context.Context, o SweepOptions, progress func(Point)) (*SweepResult, error) {
	if len(o.Concurrencies) > 0 && len(o.Rates) > 0 {
		return nil, errors.New("a sweep goes over concurrencies or over rates, not both")
	}
	r := &SweepResult{URL: o.URL, Models: o.Models, Protocol: o.Protocol}
	run := func(concurrency int, rate float64) error {
		one := o.Options
		one.Concurrency, one.Rate = concurrency, rate
		one.Seed += uint64(len(r.Points))
		p, err := New(ctx, one)
		if err != nil {
			return err
		}
		defer p.Close()
		res, err := p.Run(ctx, nil)
		if err != nil {
			return err
		}
		pt := Point{Concurrency: concurrency, Rate: rate, RPS: res.RPS, GoodRPS: res.GoodRPS, P50: res.Latency.P50, P99: res.Latency.P99, Errors: res.ErrorCount()}
		if rate > 0 {
			pt.Concurrency = 0
		}
		r.Points = append(r.Points, pt)
		if progress != nil {
			progress(pt)
		}
		return nil
	}
	var err error
	switch {
	case len(o.Rates) > 0:
		for _, rate := range o.Rates {
			if !(rate > 0) {
				return nil, fmt.Errorf("rate %v is not positive", rate)
			}
			if err = run(1, rate); err != nil {
				return nil, err
			}
		}
	case len(o.Concurrencies) > 0:
		for _, n := range o.Concurrencies {
			if n < 1 {
				return nil, fmt.Errorf("concurrency %d is not positive", n)
			}
			if err = run(n, 0); err != nil {
				return nil, err
			}
		}
	default:
		for n, flat := 1, 0; n <= maxConcurrency && flat < 2; n *= 2 {
			if err = run(n, 0); err != nil {
				return nil, err
			}
			if k := len(r.Points) - 1; k > 0 && r.Points[k].RPS < 1.05*best(r.Points[:k]) {
				flat++
			} else {
				flat = 0
			}
		}
	}
	if r.Knee = knee(r.Points); r.Knee >= 0 {
		r.Points[r.Knee].Knee = true
	}
	return r, nil
}

func best(points []Point) float64 {
	m := 0.0
	for _, p := range points {
		m = max(m, p.GoodRPS)
	}
	return m
}

// knee finds the point of greatest power, goodput over median latency (Kleinrock, 1979), and −1
// if nothing was answered. With rates, points that fell behind what was offered don't count,
// and the last that kept up with a p99 of at most kneeStretch times the least is taken: there
// latency hardly rises before the knee.
func knee(points []Point) int {
	at, power := -1, 0.0
	least := int64(0)
	for _, p := range points {
		if p.P99 > 0 && (least == 0 || p.P99 < least) {
			least = p.P99
		}
	}
	for i, p := range points {
		if p.P50 <= 0 {
			continue
		}
		v := p.GoodRPS / float64(p.P50)
		if p.Rate > 0 {
			v = p.GoodRPS
			if p.GoodRPS < 0.97*p.Rate || p.P99 > kneeStretch*least {
				continue
			}
		}
		if v > power {
			at, power = i, v
		}
	}
	return at
}

const kneeStretch = 5
