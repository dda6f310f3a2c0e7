package benchmark

import (
	"context"
	"os"
	"slices"
	"testing"
)

const (
	schedules  = "../schedule/testdata"
	assignment = "../assign/testdata/assign_200x20x12.json"
)

// TestTable is the body of make appointment-bench: it prints the table and holds
// the targets that do not depend on the machine.
func TestTable(t *testing.T) {
	if err := Print(context.Background(), os.Stdout, schedules, assignment); err != nil {
		t.Fatal(err)
	}
	rows, err := Schedules(context.Background(), schedules)
	if err != nil {
		t.Fatal(err)
	}
	var bw, equal float64
	for _, r := range rows {
		limit := 1.005
		if r.Free {
			limit = 1.02
		}
		if r.Ratio > limit {
			t.Errorf("%s: %.4f of the best known, limit %v", r.Name, r.Ratio, limit)
		}
		if !(r.Off <= 1e-6) {
			t.Errorf("%s: a stored cost differs by %g", r.Name, r.Off)
		}
		bw += r.BelowBaileyWelch / float64(len(rows))
		equal += r.BelowEqual / float64(len(rows))
	}
	if bw < .095 || equal < .13 {
		t.Errorf("mean %.3f below Bailey-Welch, %.3f below equal; want .095 and .13", bw, equal)
	}
	plan, optimum, _, err := Assignment(context.Background(), assignment)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Cost != optimum || plan.Kept != plan.Asked || slices.Max(plan.Load)-slices.Min(plan.Load) > 1 {
		t.Errorf("cost %d of %d, continuity %d of %d, loads %v", plan.Cost, optimum, plan.Kept, plan.Asked, plan.Load)
	}
}

// TestModels is the rest of make appointment-bench: what is measured on simulated and,
// where they are at hand, on real data.
func TestModels(t *testing.T) {
	if os.Getenv("AIMASS_APPOINTMENT_BENCH") == "" {
		t.Skip("make appointment-bench runs this")
	}
	ctx, shared := context.Background(), os.Getenv("AIMASS_SHARED")
	for _, err := range []error{
		PrintSizes(ctx, os.Stdout), PrintWaits(ctx, os.Stdout), PrintServices(ctx, os.Stdout, shared), PrintNoShows(ctx, os.Stdout, shared, t.TempDir()),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestMissingInstances(t *testing.T) {
	if _, err := Schedules(context.Background(), t.TempDir()); err == nil {
		t.Error("an empty folder gave a table")
	}
	if _, _, _, err := Assignment(context.Background(), "none.json"); err == nil {
		t.Error("a missing file gave a plan")
	}
}
