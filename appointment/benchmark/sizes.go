package benchmark

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aimass/aimass/appointment/assign"
	"github.com/aimass/aimass/appointment/schedule"
)

// PrintSizes solves problems of the sizes that clinics have at most, and writes the time.
func PrintSizes(ctx context.Context, w io.Writer) error {
	for _, n := range []int{24, 60} {
		p := &schedule.Problem{Session: 11 * n, Grid: 5, Weights: schedule.Weights{Wait: 1, Idle: 2, Overtime: 3}}
		means, cvs, shows := []float64{15.2, 12.2, 25}, []float64{.455, .44, .5}, []float64{.05, .22, .45, .31}
		for i := range n {
			p.Patients = append(p.Patients, schedule.Patient{NoShow: shows[i%4], Mean: means[i*7%3], CV: cvs[i*7%3]})
		}
		best, err := fastest(3, func() error { _, err := schedule.Solve(ctx, p); return err })
		if err != nil {
			return fmt.Errorf("appointment benchmark: %w", err)
		}
		fmt.Fprintf(w, "schedule, %d patients in a given order: %s, best of 3\n", n, best)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][3]int{{200, 20, 12}, {5000, 200, 20}} {
		p := demand(rng, size[0], size[1], size[2])
		var plan *assign.Plan
		best, err := fastest(2, func() (err error) { plan, err = assign.Solve(ctx, p); return err })
		if err != nil {
			return fmt.Errorf("appointment benchmark: %w", err)
		}
		fmt.Fprintf(w, "assignment, %d requests, %d doctors, %d slots: cost %d, continuity %d of %d, loads %d to %d, %s, best of 2\n",
			size[0], size[1], size[2], plan.Cost, plan.Kept, plan.Asked, slices.Min(plan.Load), slices.Max(plan.Load), best)
	}
	return nil
}

func fastest(times int, f func() error) (time.Duration, error) {
	best := time.Duration(1 << 62)
	for range times {
		begin := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		best = min(best, time.Since(begin))
	}
	return best.Round(100 * time.Microsecond), nil
}

// demand draws requests: four in ten know a doctor, three in ten doctors can see each.
func demand(rng *rand.Rand, r, d, s int) *assign.Problem {
	p := &assign.Problem{
		Requests: r, Doctors: d, Slots: s, Eligible: make([]bool, r*d), Prior: make([]int, r), Urgency: make([]float64, r), NoShow: make([]float64, r),
		Preference: make([]float32, r*d*s), Costs: assign.DefaultCosts(),
	}
	for i := range r {
		p.Prior[i] = -1
		if rng.Float64() < .4 {
			p.Prior[i] = rng.IntN(d)
		}
		p.Urgency[i], p.NoShow[i] = float64(1+rng.IntN(3)), .05+.4*rng.Float64()
		period := rng.IntN(3)
		for doctor := range d {
			p.Eligible[i*d+doctor] = rng.Float64() < .3 || doctor == p.Prior[i]
			for slot := range s {
				if slot*3/s == period {
					p.Preference[(i*d+doctor)*s+slot] = 1
				}
			}
		}
	}
	return p
}
