package hosted

import (
	"math"
	"testing"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/schedule"
	"github.com/aimass/aimass/runtime/tensor"
)

// runningDay is one row for appt-day at minute 30: column 0 is with the doctor since 20,
// column 1 waits, columns 2 and 3 have confirmed for 30 and 60, column 4 is padding.
func runningDay(move bool) []tensor.Value {
	const n = 5
	i32 := func(v ...int32) tensor.Value { return tensor.FromSlice(v, 1, n) }
	f32 := func(v ...float32) tensor.Value { return tensor.FromSlice(v, 1, n) }
	confirmed := int32(schedule.StateConfirmed)
	return []tensor.Value{
		f32(15, 15, 15, 15, 0), f32(.5, .5, .5, .5, 0), f32(0, 0, .1, .1, 0), tensor.FromSlice([]bool{true, true, true, true, false}, 1, n),
		i32(20, 15, 30, 60, 0), i32(int32(schedule.StateInService), int32(schedule.StateWaiting), confirmed, confirmed, 0), i32(0, 0, 0, 0, 0),
		tensor.FromSlice([]int32{90}, 1), tensor.FromSlice([]int32{5}, 1), tensor.FromSlice([]int32{30}, 1),
		tensor.FromSlice([]float32{1, 2, 3}, 1, 3), tensor.FromSlice([]bool{move}, 1), tensor.FromSlice([]float32{0, 0, 0}, 1, 3),
	}
}

func TestDay(t *testing.T) {
	m := open(t, Day, nil)
	still, err := run(m, runningDay(false)...)
	if err != nil {
		t.Fatal(err)
	}
	start, place, wait := tensor.Data[int32](still[0]), tensor.Data[int32](still[1]), tensor.Data[float32](still[2])
	for k, want := range []int32{0, 1, 2, 3, -1} {
		if place[k] != want {
			t.Errorf("places %v", place)
		}
	}
	if start[2] != 30 || start[3] != 60 || wait[0] != 0 || !(wait[1] > 3 && wait[1] < 15) || !(wait[2] > wait[1]) {
		t.Errorf("starts %v, waits %v", start, wait)
	}
	moved, err := run(m, runningDay(true)...)
	if err != nil {
		t.Fatal(err)
	}
	if start := tensor.Data[int32](moved[0]); start[2] <= 30 || start[3] < 60 {
		t.Errorf("the patient due now is not asked to come later, or one is moved earlier: %v", start)
	}
	before, after, unmoved := tensor.Data[float32](still[3])[0], tensor.Data[float32](moved[3])[0], tensor.Data[float32](moved[4])[0]
	if !(after < before) || math.Abs(float64(before-unmoved)) > 1e-3 {
		t.Errorf("cost %v, moved %v, unmoved %v", before, after, unmoved)
	}
	bad := func(port int, v tensor.Value, want appointment.Code) {
		t.Helper()
		in := runningDay(true)
		in[port] = v
		wantCode(t, m, in, want)
	}
	bad(3, tensor.FromSlice(make([]bool, 5), 1, 5), appointment.CodeMaskEmpty)
	bad(5, tensor.FromSlice([]int32{4, 4, 1, 1, 0}, 1, 5), appointment.CodeBadPlan)
	bad(5, tensor.FromSlice([]int32{4, 9, 1, 1, 0}, 1, 5), appointment.CodeBadPlan)
	bad(8, tensor.FromSlice([]int32{0}, 1), appointment.CodeBadGrid)
	bad(10, tensor.FromSlice([]float32{0, 0, 0}, 1, 3), appointment.CodeZeroWeights)
	bad(9, tensor.FromSlice([]int32{-1}, 1), appointment.CodeBadSession)
	bad(6, tensor.FromSlice([]int32{0, 0}, 1, 2), appointment.CodeRaggedBatch)
}

// TestFair: the promise and the worst-off group are looked after, at a cost that is told.
func TestFair(t *testing.T) {
	m := open(t, Fair, nil)
	ask := func(worst bool, promise ...float32) []*tensor.Tensor {
		t.Helper()
		out, err := run(m, append(session(), tensor.FromSlice([]int32{0, 1, 1, 0}, 1, 4), tensor.FromSlice([]bool{worst}, 1), tensor.FromSlice(promise, 1, 4))...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	met := func(out []*tensor.Tensor) bool { return out[5].Bytes()[0] != 0 }
	plain := ask(false, 0, 0, 0, 0)
	if !met(plain) || tensor.Data[float32](plain[2])[0] != tensor.Data[float32](plain[8])[0] {
		t.Errorf("nothing was asked for: met %v, cost %v, cheapest %v", met(plain), tensor.Data[float32](plain[2]), tensor.Data[float32](plain[8]))
	}
	worst := func(out []*tensor.Tensor) float32 {
		w := tensor.Data[float32](out[7])
		if !math.IsNaN(float64(w[2])) || !math.IsNaN(float64(w[3])) {
			t.Errorf("waits of groups that have nobody: %v", w)
		}
		return max(w[0], w[1])
	}
	if fair := ask(true, .2, 0, 0, 0); worst(fair) >= worst(plain) {
		t.Errorf("the worst group waits %v, without fairness %v", worst(fair), worst(plain))
	}
	kept := ask(false, 0, 0, 10, .9)
	if !met(kept) {
		t.Error("a promise that can be kept is not")
	}
	for _, b := range tensor.Data[float32](kept[6]) {
		if b > .1+1e-6 {
			t.Errorf("chances to wait beyond the limit: %v", tensor.Data[float32](kept[6]))
		}
	}
	in := append(session(), tensor.FromSlice([]int32{0, 7, 1, 0}, 1, 4), tensor.FromSlice([]bool{true}, 1), tensor.FromSlice([]float32{0, 0, 0, 0}, 1, 4))
	wantCode(t, m, in, appointment.CodeBadGroup)
	in[8], in[10] = tensor.FromSlice([]int32{0, 0, 0, 0}, 1, 4), tensor.FromSlice([]float32{0, 0, -3, 0}, 1, 4)
	wantCode(t, m, in, appointment.CodeBadGuarantee)
}
