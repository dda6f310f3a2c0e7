package schedule

import (
	"context"
	"fmt"
	"math"

	"github.com/aimass/aimass/appointment"
)

// Tensors are the inputs of the model appt-schedule, row-major: B problems with
// up to N patients each.
type Tensors struct {
	B, N int
	// ServiceMean, ServiceCV and NoShow are [B,N]; entries outside the mask are not
	// read.
	ServiceMean, ServiceCV, NoShow []float32
	// Mask is [B,N]: which columns are patients.
	Mask []bool
	// Session and Grid are [B], in minutes.
	Session, Grid []int32
	// Weights is [B,3]: waiting, idle, overtime.
	Weights []float32
	// FixedOrder is [B].
	FixedOrder []bool
}

// TensorsOut are the outputs of the model appt-schedule, row-major.
type TensorsOut struct {
	// StartMinute and Order are [B,N]: the k-th start belongs to column Order[k].
	// Columns outside the mask come last, in rising order, with the last patient's
	// start, so that a row of Order is a permutation and starts never decrease.
	StartMinute, Order []int32
	// Cost is [B,4]: the total cost, then its parts in minutes: waiting of all
	// patients, idle time, overtime.
	Cost []float32
	// BaselineCost is [B,3]: the total cost of equal intervals, Bailey-Welch and
	// the show-adjusted rule on the order of the columns.
	BaselineCost []float32
	// ExpectedWait is [B,N], by column, in minutes; 0 outside the mask.
	ExpectedWait []float32
}

func (in *Tensors) validate() error {
	if in.B == 0 {
		return appointment.Errorf(appointment.CodeEmptyBatch, "mask", "0 rows")
	}
	if in.N == 0 {
		return appointment.Errorf(appointment.CodeNoPatients, "mask", "0 columns")
	}
	all := in.B * in.N
	return firstError(
		sized("service_mean", len(in.ServiceMean), all), sized("service_cv", len(in.ServiceCV), all), sized("p_noshow", len(in.NoShow), all),
		sized("mask", len(in.Mask), all), sized("session_minutes", len(in.Session), in.B), sized("grid", len(in.Grid), in.B),
		sized("weights", len(in.Weights), in.B*3), sized("fixed_order", len(in.FixedOrder), in.B))
}

// problem builds row b's problem and the columns of its patients.
func (in *Tensors) problem(b int) (*Problem, []int, error) {
	p := &Problem{
		Session: int(in.Session[b]), Grid: int(in.Grid[b]), FreeOrder: !in.FixedOrder[b],
		Weights: Weights{float64(in.Weights[3*b]), float64(in.Weights[3*b+1]), float64(in.Weights[3*b+2])},
	}
	var columns []int
	for c := range in.N {
		if at := b*in.N + c; in.Mask[at] {
			columns = append(columns, c)
			p.Patients = append(p.Patients, Patient{float64(in.NoShow[at]), float64(in.ServiceMean[at]), float64(in.ServiceCV[at])})
		}
	}
	if len(columns) == 0 {
		return nil, nil, appointment.Errorf(appointment.CodeMaskEmpty, "mask", "row %d", b)
	}
	if err := p.Validate(); err != nil {
		return nil, nil, fmt.Errorf("row %d: %w", b, err)
	}
	return p, columns, nil
}

// SolveTensors solves all rows, side by side on the cores there are; a row's answer
// does not depend on the others. All rows are checked before the first is solved;
// one bad row fails the request. The outputs are fresh.
func SolveTensors(ctx context.Context, in *Tensors) (*TensorsOut, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	for b := range in.B {
		if _, _, err := in.problem(b); err != nil {
			return nil, err
		}
	}
	out := newTensorsOut(in.B, in.N)
	err := eachRow(in.B, func(b int) error {
		p, columns, err := in.problem(b)
		if err != nil {
			return err
		}
		s, err := Solve(ctx, p)
		if err != nil {
			return err
		}
		in.put(b, p, columns, &s, &out)
		return nil
	})
	return &out, err
}

func newTensorsOut(b, n int) TensorsOut {
	return TensorsOut{
		StartMinute: make([]int32, b*n), Order: make([]int32, b*n), Cost: make([]float32, b*4), BaselineCost: make([]float32, b*3),
		ExpectedWait: make([]float32, b*n),
	}
}

// nan32 stands where there is no value.
var nan32 = float32(math.NaN())

// put writes the solution of row b.
func (in *Tensors) put(b int, p *Problem, columns []int, s *Solution, out *TensorsOut) {
	row := b * in.N
	for k, i := range s.Order {
		out.Order[row+k] = int32(columns[i])
		out.StartMinute[row+k] = int32(s.Times[k])
		out.ExpectedWait[row+columns[i]] = float32(s.Wait[i])
	}
	k := len(columns)
	for c := range in.N {
		if !in.Mask[row+c] {
			out.Order[row+k] = int32(c)
			out.StartMinute[row+k] = int32(s.Times[len(columns)-1])
			k++
		}
	}
	for j, v := range []float64{s.Cost, s.WaitTotal, s.Idle, s.Overtime} {
		out.Cost[4*b+j] = float32(v)
	}
	sv := newServices(p.Patients)
	for j, rule := range []Rule{RuleEqual, RuleBaileyWelch, RuleShowAdjusted} {
		r := evaluate(p, sv, Plan{identity(len(columns)), rule.times(p, sv)})
		out.BaselineCost[3*b+j] = float32(r.Cost)
	}
}
