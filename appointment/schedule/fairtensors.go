package schedule

import (
	"context"

	"github.com/aimass/aimass/appointment"
)

// FairTensors are the inputs of the model appt-schedule-fair: those of appt-schedule and
// what is asked for besides.
type FairTensors struct {
	Tensors
	// Group is [B,N]: the number of each patient's group, from 0.
	Group []int32
	// WorstGroup is [B]: see Options.
	WorstGroup []bool
	// Promise is [B,4]: Options.MaxExtraCost, MaxMeanWait, WaitLimit and WaitLevel, each 0
	// where it is not asked for.
	Promise []float32
}

// FairTensorsOut are the outputs of the model appt-schedule-fair.
type FairTensorsOut struct {
	TensorsOut
	// Met is [B]: whether the plan keeps the promise.
	Met []bool
	// Beyond is [B,N], by column: the chance to wait longer than the limit; 0 without one.
	Beyond []float32
	// GroupWait is [B,N], by group: the mean wait in minutes; NaN where a group has nobody.
	GroupWait []float32
	// CheapestCost is [B]: the cost of the plan that nothing else was asked of.
	CheapestCost []float32
}

func (in *FairTensors) row(b int) (*Problem, []int, Options, error) {
	p, columns, err := in.problem(b)
	if err != nil {
		return nil, nil, Options{}, err
	}
	for _, c := range columns {
		g := in.Group[b*in.N+c]
		if g < 0 || int(g) >= in.N {
			return nil, nil, Options{}, appointment.Errorf(appointment.CodeBadGroup, "group", "row %d, column %d has group %d", b, c, g)
		}
		p.Groups = append(p.Groups, int(g))
	}
	q := in.Promise[4*b : 4*b+4]
	o := Options{WorstGroup: in.WorstGroup[b], MaxExtraCost: float64(q[0]), MaxMeanWait: float64(q[1]), WaitLevel: float64(q[3])}
	if err := appointment.CheckFinite("promise", b, float64(q[2])); err != nil {
		return nil, nil, Options{}, err
	}
	if q[2] < 0 || q[2] > appointment.MaxSession {
		return nil, nil, Options{}, appointment.Errorf(appointment.CodeBadGuarantee, "promise", "row %d has a limit of %v minutes", b, q[2])
	}
	o.WaitLimit = int(q[2])
	return p, columns, o, o.validate(p)
}

// SolveFairTensors solves all rows. All are checked first; one bad row fails the request.
// A promise that no plan found keeps is no error: see Met. The outputs are fresh.
func SolveFairTensors(ctx context.Context, in *FairTensors) (*FairTensorsOut, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	if err := firstError(sized("group", len(in.Group), in.B*in.N), sized("worst_group", len(in.WorstGroup), in.B),
		sized("promise", len(in.Promise), in.B*4)); err != nil {
		return nil, err
	}
	for b := range in.B {
		if _, _, _, err := in.row(b); err != nil {
			return nil, err
		}
	}
	out := &FairTensorsOut{
		TensorsOut: newTensorsOut(in.B, in.N), Met: make([]bool, in.B), Beyond: make([]float32, in.B*in.N),
		GroupWait: make([]float32, in.B*in.N), CheapestCost: make([]float32, in.B),
	}
	return out, eachRow(in.B, func(b int) error {
		p, columns, o, err := in.row(b)
		if err != nil {
			return err
		}
		g, err := SolveGuarded(ctx, p, o)
		if err != nil {
			return err
		}
		in.put(b, p, columns, &g.Solution, &out.TensorsOut)
		out.Met[b], out.CheapestCost[b] = g.Met, float32(g.CheapestCost)
		for i, v := range g.Beyond {
			out.Beyond[b*in.N+columns[i]] = float32(v)
		}
		for k := range in.N {
			out.GroupWait[b*in.N+k] = nan32
			if k < len(g.GroupWait) {
				out.GroupWait[b*in.N+k] = float32(g.GroupWait[k])
			}
		}
		return nil
	})
}
