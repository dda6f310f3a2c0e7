// Package benchmark prints how the appointment models do: on stored instances the cost
// against the best known and against the rules clinics use, and the time taken; on
// simulated and on real data, where they are at hand, the coverage of intervals and the
// figures of the no-show models. It is for people and for make; nothing else imports it.
package benchmark

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/aimass/aimass/appointment/assign"
	"github.com/aimass/aimass/appointment/schedule"
)

// Row is one schedule instance.
type Row struct {
	Name string
	Free bool
	// Cost found, and over the best known.
	Cost, Ratio float64
	// Shares below the rules' costs.
	BelowBaileyWelch, BelowEqual float64
	// Off is the largest difference between a stored cost and ours.
	Off  float64
	Took time.Duration
}

// Schedules solves every instance file f*.json of dir, one after the other.
func Schedules(ctx context.Context, dir string) ([]Row, error) {
	files, err := filepath.Glob(filepath.Join(dir, "f*.json"))
	if err != nil {
		return nil, fmt.Errorf("appointment benchmark: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("appointment benchmark: no instances in %s", dir)
	}
	slices.Sort(files)
	var rows []Row
	for _, f := range files {
		in, err := schedule.ReadInstance(f)
		if err != nil {
			return nil, fmt.Errorf("appointment benchmark: %w", err)
		}
		p := in.Problem()
		begin := time.Now()
		s, err := schedule.Solve(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("appointment benchmark: %s: %w", in.Name, err)
		}
		took := time.Since(begin)
		rules := schedule.Baselines(p)
		off := math.Abs(schedule.Evaluate(p, in.BestKnown.Plan).Cost - in.BestKnown.Cost)
		for rule, r := range rules {
			off = max(off, math.Abs(r.Cost-in.Baselines[string(rule)].Cost))
		}
		rows = append(rows, Row{
			Name: in.Name, Free: p.FreeOrder, Cost: s.Cost, Ratio: s.Cost / in.BestKnown.Cost, Off: off, Took: took,
			BelowBaileyWelch: 1 - s.Cost/rules[schedule.RuleBaileyWelch].Cost,
			BelowEqual:       1 - s.Cost/rules[schedule.RuleEqual].Cost,
		})
	}
	return rows, nil
}

// Assignment solves one assignment instance.
func Assignment(ctx context.Context, file string) (plan *assign.Plan, optimum int64, took time.Duration, err error) {
	in, err := assign.ReadInstance(file)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("appointment benchmark: %w", err)
	}
	p := in.Problem()
	begin := time.Now()
	plan, err = assign.Solve(ctx, p)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("appointment benchmark: %w", err)
	}
	return plan, in.OptimalCost, time.Since(begin), nil
}

// Print writes the table of the schedule instances in scheduleDir and of the
// assignment instance in assignFile.
func Print(ctx context.Context, w io.Writer, scheduleDir, assignFile string) error {
	rows, err := Schedules(ctx, scheduleDir)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%-32s %10s %9s %8s %8s %9s\n", "instance", "cost", "/best", "vs B-W", "vs equal", "time")
	var mean Row
	for _, r := range rows {
		fmt.Fprintf(w, "%-32s %10.3f %9.5f %7.1f%% %7.1f%% %9s\n", r.Name, r.Cost, r.Ratio, -100*r.BelowBaileyWelch, -100*r.BelowEqual,
			r.Took.Round(100*time.Microsecond))
		n := float64(len(rows))
		mean.Ratio += r.Ratio / n
		mean.BelowBaileyWelch += r.BelowBaileyWelch / n
		mean.BelowEqual += r.BelowEqual / n
		mean.Off = max(mean.Off, r.Off)
	}
	fmt.Fprintf(w, "%-32s %10s %9.5f %7.1f%% %7.1f%%\n", "mean", "", mean.Ratio, -100*mean.BelowBaileyWelch, -100*mean.BelowEqual)
	fmt.Fprintf(w, "stored costs of plans and rules: reproduced to %.0e\n", mean.Off)
	plan, optimum, took, err := Assignment(ctx, assignFile)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "assignment: cost %d, optimum %d, continuity %d of %d, loads %d to %d, %s\n",
		plan.Cost, optimum, plan.Kept, plan.Asked, slices.Min(plan.Load), slices.Max(plan.Load), took.Round(100*time.Microsecond))
	return err
}
