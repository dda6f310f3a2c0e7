package schedule

import (
	"context"
	"testing"
	"time"
)

func TestAgainstBestKnown(t *testing.T) {
	var bw, eq float64
	for _, in := range instances(t) {
		p := in.Problem()
		begin := time.Now()
		s, err := Solve(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		if err := s.Plan.Check(p); err != nil {
			t.Fatal(err)
		}
		ratio := s.Cost / in.BestKnown.Cost
		bw += 1 - s.Cost/in.Baselines["bailey_welch"].Cost
		eq += 1 - s.Cost/in.Baselines["equal_T_over_N"].Cost
		limit := 1.005
		if p.FreeOrder {
			limit = 1.02
		}
		if ratio > limit {
			t.Errorf("%s: %.4f of best known, limit %v", in.Name, ratio, limit)
		}
		t.Logf("%-32s %10.5f ratio %.6f %v", in.Name, s.Cost, ratio, took)
	}
	t.Logf("below Bailey-Welch %.2f %%, equal %.2f %%", 100*bw/12, 100*eq/12)
	if bw/12 < .095 || eq/12 < .13 {
		t.Errorf("mean gain below target")
	}
}
