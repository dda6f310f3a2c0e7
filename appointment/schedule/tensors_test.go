package schedule

import (
	"context"
	"math"
	"testing"

	"github.com/aimass/aimass/appointment"
)

func tensorsOf(in *Instance, n int) *Tensors {
	p := in.Problem()
	t := &Tensors{
		B: 1, N: n, Session: []int32{int32(p.Session)}, Grid: []int32{int32(p.Grid)}, FixedOrder: []bool{!p.FreeOrder},
		Weights:     []float32{float32(p.Weights.Wait), float32(p.Weights.Idle), float32(p.Weights.Overtime)},
		ServiceMean: make([]float32, n), ServiceCV: make([]float32, n), NoShow: make([]float32, n), Mask: make([]bool, n),
	}
	for i, q := range p.Patients {
		t.ServiceMean[i], t.ServiceCV[i], t.NoShow[i], t.Mask[i] = float32(q.Mean), float32(q.CV), float32(q.NoShow), true
	}
	return t
}

func TestTensorsAgreeWithTheInstances(t *testing.T) {
	for _, in := range instances(t) {
		if in.Sequence == "free" {
			continue
		}
		n := len(in.Patients)
		out, err := SolveTensors(context.Background(), tensorsOf(in, n))
		if err != nil {
			t.Fatal(err)
		}
		pl := Plan{make([]int, n), make([]int, n)}
		for k := range n {
			pl.Order[k], pl.Times[k] = int(out.Order[k]), int(out.StartMinute[k])
		}
		r := Evaluate(in.Problem(), pl)
		if math.Abs(float64(out.Cost[0])/r.Cost-1) > 1e-3 || r.Cost > 1.005*in.BestKnown.Cost {
			t.Errorf("%s: said %v, is %v, best known %v", in.Name, out.Cost[0], r.Cost, in.BestKnown.Cost)
		}
		for j, rule := range []Rule{RuleEqual, RuleBaileyWelch, RuleShowAdjusted} {
			want := in.Baselines[string(rule)].Cost
			if math.Abs(float64(out.BaselineCost[j])/want-1) > 1e-3 {
				t.Errorf("%s: %s %v, stored %v", in.Name, rule, out.BaselineCost[j], want)
			}
		}
	}
}

func TestTensorsWithAMask(t *testing.T) {
	in := instances(t)[0]
	n := len(in.Patients)
	full, err := SolveTensors(context.Background(), tensorsOf(in, n))
	if err != nil {
		t.Fatal(err)
	}
	x := tensorsOf(in, n)
	wide := &Tensors{
		B: 1, N: 2 * n, Session: x.Session, Grid: x.Grid, FixedOrder: x.FixedOrder, Weights: x.Weights,
		ServiceMean: make([]float32, 2*n), ServiceCV: make([]float32, 2*n), NoShow: make([]float32, 2*n), Mask: make([]bool, 2*n),
	}
	for i := range n {
		c := 2*i + 1
		wide.ServiceMean[c], wide.ServiceCV[c], wide.NoShow[c], wide.Mask[c] = x.ServiceMean[i], x.ServiceCV[i], x.NoShow[i], true
		wide.ServiceMean[2*i] = float32(math.NaN())
	}
	out, err := SolveTensors(context.Background(), wide)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, 2*n)
	for k := range 2 * n {
		seen[out.Order[k]] = true
		if k > 0 && out.StartMinute[k] < out.StartMinute[k-1] {
			t.Fatalf("starts go back: %v", out.StartMinute)
		}
		if k < n && (out.Order[k] != 2*full.Order[k]+1 || out.StartMinute[k] != full.StartMinute[k]) {
			t.Fatalf("place %d: column %d at %d, want %d at %d", k, out.Order[k], out.StartMinute[k], 2*full.Order[k]+1, full.StartMinute[k])
		}
		if k >= n && wide.Mask[out.Order[k]] {
			t.Fatalf("a patient comes after the mask: %v", out.Order)
		}
	}
	for c, ok := range seen {
		if !ok {
			t.Fatalf("column %d is missing from %v", c, out.Order)
		}
	}
	for i := range n {
		if out.ExpectedWait[2*i] != 0 || out.ExpectedWait[2*i+1] != full.ExpectedWait[i] {
			t.Fatalf("waits %v, want %v", out.ExpectedWait, full.ExpectedWait)
		}
	}
	if out.Cost[0] != full.Cost[0] {
		t.Fatalf("cost %v, without mask %v", out.Cost[0], full.Cost[0])
	}
}

func TestBadTensors(t *testing.T) {
	in := instances(t)[0]
	f := func(want appointment.Code, change func(x *Tensors)) {
		t.Helper()
		x := tensorsOf(in, len(in.Patients))
		change(x)
		if _, err := SolveTensors(context.Background(), x); appointment.CodeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(appointment.CodeEmptyBatch, func(x *Tensors) { x.B = 0 })
	f(appointment.CodeNoPatients, func(x *Tensors) { x.N = 0 })
	f(appointment.CodeRaggedBatch, func(x *Tensors) { x.ServiceCV = x.ServiceCV[1:] })
	f(appointment.CodeRaggedBatch, func(x *Tensors) { x.Weights = x.Weights[:2] })
	f(appointment.CodeMaskEmpty, func(x *Tensors) { clear(x.Mask) })
	f(appointment.CodeBadSession, func(x *Tensors) { x.Session[0] = 0 })
	f(appointment.CodeNotFinite, func(x *Tensors) { x.NoShow[3] = float32(math.NaN()) })
}
