package hosted

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/recommend"
	"github.com/aimass/aimass/appointment/schedule"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// open makes a model as the server does.
func open(t *testing.T, name string, files map[string][]byte) *runtime.Model {
	t.Helper()
	e := runtime.NewEngine(runtime.Config{Natives: Entries(nil)})
	m, err := e.Native(name, source(nil, files))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func source(params map[string]string, files map[string][]byte) native.Source {
	return native.Source{Params: params, Read: func(name string) ([]byte, error) {
		if b, ok := files[name]; ok {
			return b, nil
		}
		return nil, fs.ErrNotExist
	}}
}

func run(m *runtime.Model, in ...tensor.Value) ([]*tensor.Tensor, error) {
	call := &device.Call{In: in}
	if err := m.Run(context.Background(), call); err != nil {
		return nil, err
	}
	defer call.Release()
	var out []*tensor.Tensor
	for _, v := range call.Out {
		out = append(out, v.(*tensor.Tensor).Clone())
	}
	return out, nil
}

// session is one row for appt-schedule: three patients, the last column padding.
func session() []tensor.Value {
	return []tensor.Value{
		tensor.FromSlice([]float32{15, 12, 20, 0}, 1, 4), tensor.FromSlice([]float32{.4, .5, .6, 0}, 1, 4),
		tensor.FromSlice([]float32{.1, .3, .2, 0}, 1, 4), tensor.FromSlice([]bool{true, true, true, false}, 1, 4),
		tensor.FromSlice([]int32{60}, 1), tensor.FromSlice([]int32{5}, 1),
		tensor.FromSlice([]float32{1, 2, 3}, 1, 3), tensor.FromSlice([]bool{true}, 1),
	}
}

func TestScheduleAnswersLikeTheAlgorithm(t *testing.T) {
	m := open(t, Schedule, nil)
	out, err := run(m, session()...)
	if err != nil {
		t.Fatal(err)
	}
	p := &schedule.Problem{
		Session: 60, Grid: 5, Weights: schedule.Weights{Wait: 1, Idle: 2, Overtime: 3},
		Patients: []schedule.Patient{{NoShow: float64(float32(.1)), Mean: 15, CV: float64(float32(.4))}, {NoShow: float64(float32(.3)), Mean: 12, CV: .5},
			{NoShow: float64(float32(.2)), Mean: 20, CV: float64(float32(.6))}},
	}
	want, err := schedule.Solve(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	start, cost := tensor.Data[int32](out[0]), tensor.Data[float32](out[2])
	for k, at := range want.Times {
		if int(start[k]) != at {
			t.Errorf("starts %v, want %v", start, want.Times)
		}
	}
	if math.Abs(float64(cost[0])-want.Cost) > 1e-4*want.Cost || !slices.Equal(tensor.Data[int32](out[1]), []int32{0, 1, 2, 3}) {
		t.Errorf("cost %v, want %v; order %v", cost, want.Cost, tensor.Data[int32](out[1]))
	}
}

// TestRowsDoNotDependOnEachOther solves many rows at once and each alone.
func TestRowsDoNotDependOnEachOther(t *testing.T) {
	m := open(t, Schedule, nil)
	const rows = 7
	var all []tensor.Value
	for i, v := range session() {
		one := v.(*tensor.Tensor)
		s := append(tensor.Shape{rows}, one.Shape[1:]...)
		big := tensor.New(one.DType, s)
		for r := range rows {
			copy(big.Bytes()[r*len(one.Bytes()):], one.Bytes())
			if i == 2 { // p_noshow
				tensor.Data[float32](big)[r*4+1] = float32(r) / rows
			}
		}
		all = append(all, big)
	}
	together, err := run(m, all...)
	if err != nil {
		t.Fatal(err)
	}
	for r := range rows {
		in := session()
		tensor.Data[float32](in[2].(*tensor.Tensor))[1] = float32(r) / rows
		alone, err := run(m, in...)
		if err != nil {
			t.Fatal(err)
		}
		for k := range alone {
			if string(alone[k].Bytes()) != string(together[k].Rows(r, r+1).Bytes()) {
				t.Errorf("row %d, output %d: %v alone, %v among others", r, k, alone[k].Bytes(), together[k].Rows(r, r+1).Bytes())
			}
		}
	}
}

// TestBadInputKeepsItsCode changes one input of a good request at a time.
// wantCode holds that an answer is refused with a code, which its text names.
func wantCode(t *testing.T, m *runtime.Model, in []tensor.Value, want api.Code) {
	t.Helper()
	_, err := run(m, in...)
	if api.CodeOf(err) != want || want.HTTPStatus() != 400 || !strings.Contains(api.Message(err), string(want)) {
		t.Errorf("%q, code %s, want %s", api.Message(err), api.CodeOf(err), want)
	}
}

func TestBadInputKeepsItsCode(t *testing.T) {
	m := open(t, Schedule, nil)
	f := func(at int, v tensor.Value, want api.Code) {
		t.Helper()
		in := session()
		in[at] = v
		wantCode(t, m, in, want)
	}
	nan := float32(math.NaN())
	f(0, tensor.FromSlice([]float32{15, 0, 20, 0}, 1, 4), appointment.CodeBadServiceMean)
	f(0, tensor.FromSlice([]float32{15, nan, 20, 0}, 1, 4), appointment.CodeNotFinite)
	f(0, tensor.FromSlice([]float32{15, 12, 20}, 1, 3), appointment.CodeRaggedBatch)
	f(1, tensor.FromSlice([]float32{.4, 4, .6, 0}, 1, 4), appointment.CodeBadServiceCV)
	f(2, tensor.FromSlice([]float32{.1, 1.5, .2, 0}, 1, 4), appointment.CodeBadProbability)
	f(2, tensor.FromSlice([]float32{.1, float32(math.Inf(1)), .2, 0}, 1, 4), appointment.CodeNotFinite)
	f(3, tensor.FromSlice([]bool{false, false, false, false}, 1, 4), appointment.CodeMaskEmpty)
	f(4, tensor.FromSlice([]int32{0}, 1), appointment.CodeBadSession)
	f(5, tensor.FromSlice([]int32{0}, 1), appointment.CodeBadGrid)
	f(5, tensor.FromSlice([]int32{61}, 1), appointment.CodeBadGrid)
	f(6, tensor.FromSlice([]float32{0, 0, 0}, 1, 3), appointment.CodeZeroWeights)
	f(6, tensor.FromSlice([]float32{1, -1, 0}, 1, 3), appointment.CodeNegativeWeight)
	empty := []tensor.Value{
		tensor.New(tensor.Float32, tensor.Shape{0, 4}), tensor.New(tensor.Float32, tensor.Shape{0, 4}), tensor.New(tensor.Float32, tensor.Shape{0, 4}),
		tensor.New(tensor.Bool, tensor.Shape{0, 4}), tensor.New(tensor.Int32, tensor.Shape{0}), tensor.New(tensor.Int32, tensor.Shape{0}),
		tensor.New(tensor.Float32, tensor.Shape{0, 3}), tensor.New(tensor.Bool, tensor.Shape{0}),
	}
	if _, err := run(m, empty...); api.CodeOf(err) != appointment.CodeEmptyBatch {
		t.Errorf("no rows: %v", err)
	}
	none := session()
	for i := range 4 {
		none[i] = tensor.New(none[i].(*tensor.Tensor).DType, tensor.Shape{1, 0})
	}
	if _, err := run(m, none...); api.CodeOf(err) != appointment.CodeNoPatients {
		t.Errorf("no columns: %v", err)
	}
	many := schedule.MaxPatients + 1
	big := session()
	for i := range 4 {
		b := tensor.New(big[i].(*tensor.Tensor).DType, tensor.Shape{1, many})
		for k := range many {
			if i == 3 {
				tensor.Data[bool](b)[k] = true
			} else {
				tensor.Data[float32](b)[k] = .5
			}
		}
		big[i] = b
	}
	if _, err := run(m, big...); api.CodeOf(err) != appointment.CodeTooLarge {
		t.Errorf("%d patients: %v", many, err)
	}
}

func TestAssign(t *testing.T) {
	m := open(t, Assign, nil)
	in := func() []tensor.Value {
		return []tensor.Value{
			tensor.FromSlice([]bool{true, true, true, true, false, false}, 3, 2), tensor.FromSlice([]int32{1, -1, -1}, 3),
			tensor.FromSlice([]float32{1, 1, 1}, 3), tensor.FromSlice([]float32{0, 0, 0}, 3),
			tensor.FromSlice(slices.Repeat([]float32{1}, 6), 3, 2, 1), tensor.FromSlice([]bool{true, true}, 2, 1),
		}
	}
	out, err := run(m, in()...)
	if err != nil {
		t.Fatal(err)
	}
	if d := tensor.Data[int32](out[0]); !slices.Equal(d, []int32{1, 0, -1}) {
		t.Errorf("doctors %v", d)
	}
	if q, why := tensor.Data[int32](out[2]), tensor.Data[int32](out[3]); q[2] != 1 || why[0] != 1 || why[2] != 10 {
		t.Errorf("queue %v, reasons %v", q, why)
	}
	f := func(at int, v tensor.Value, want api.Code) {
		t.Helper()
		bad := in()
		bad[at] = v
		if _, err := run(m, bad...); api.CodeOf(err) != want {
			t.Errorf("input %d: %v, want %s", at, err, want)
		}
	}
	f(1, tensor.FromSlice([]int32{2, -1, -1}, 3), appointment.CodePriorDoctorRange)
	f(1, tensor.FromSlice([]int32{1, -1}, 2), appointment.CodeRaggedBatch)
	f(2, tensor.FromSlice([]float32{-1, 1, 1}, 3), appointment.CodeBadUrgency)
	f(3, tensor.FromSlice([]float32{2, 1, 1}, 3), appointment.CodeBadProbability)
	f(5, tensor.FromSlice([]bool{true, true, true}, 3, 1), appointment.CodeRaggedBatch)
}

func TestSamplesRun(t *testing.T) {
	for _, name := range []string{Schedule, Fair, Day, Assign} {
		m := open(t, name, nil)
		for _, rows := range []int{1, 4} {
			if _, err := run(m, m.Sample(rows)...); err != nil {
				t.Errorf("%s, %d rows: %v", name, rows, err)
			}
		}
	}
}

func TestConstructorsRefuse(t *testing.T) {
	e := runtime.NewEngine(runtime.Config{Natives: Entries(nil)})
	f := func(name string, from native.Source, want string) {
		t.Helper()
		if _, err := e.Native(name, from); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	f(Schedule, source(map[string]string{"speed": "high"}, nil), `"speed"`)
	f(Wait, source(nil, nil), "model.gob")
	f(Wait, source(nil, map[string][]byte{"model.gob": []byte("nonsense")}), "wait model")
	f(Recommend, source(nil, nil), recommend.FileName)
	f(Recommend, source(nil, map[string][]byte{recommend.FileName: []byte("{}")}), recommend.FileName)
}

// TestRecommendWithoutItsModels: what is not served is named, with the code of a model
// that is not loaded.
func TestRecommendWithoutItsModels(t *testing.T) {
	clinic, err := recommend.Demo(1).File()
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, Recommend, map[string][]byte{recommend.FileName: clinic})
	f := func(need, text, earliest, want string, code api.Code) {
		t.Helper()
		_, err := run(m, tensor.FromStrings([]string{"p"}, 1), tensor.FromStrings([]string{need}, 1), tensor.FromStrings([]string{text}, 1),
			tensor.FromStrings([]string{earliest}, 1), tensor.FromSlice([]float32{1}, 1), tensor.FromStrings([]string{""}, 1))
		if api.CodeOf(err) != code || !strings.Contains(api.Message(err), want) {
			t.Errorf("%q %q: %v, code %s", need, text, err, api.CodeOf(err))
		}
	}
	const at = "2026-03-02T09:00:00Z"
	f("heart", "", at, "appt-noshow", api.CodeModelUnavailable)
	f("", "my chest hurts", at, "all-minilm-l6-v2", api.CodeModelUnavailable)
	f("", "", at, "general, heart", appointment.CodeUnknownNeed)
	f("heart", "", "2026-03-02T09:00:00", "zone", appointment.CodeTimestampZone)
}

// TestFoldersAreDeterministic also holds what a configuration must say.
func TestFoldersAreDeterministic(t *testing.T) {
	one, err := Folders(1)
	two, err2 := Folders(1)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for i, f := range one {
		for name, b := range f.Files {
			if string(b) != string(two[i].Files[name]) {
				t.Errorf("%s/%s differs", f.Model, name)
			}
		}
		if len(f.Files["model_card.md"]) == 0 || len(f.Files["model_card.json"]) == 0 {
			t.Errorf("%s has no card", f.Model)
		}
	}
	f := func(model, want string) {
		t.Helper()
		i := slices.IndexFunc(one, func(f Folder) bool { return f.Model == model })
		if i < 0 || !strings.Contains(string(one[i].Config), want) {
			t.Errorf("configuration of %s: want %s", model, want)
		}
	}
	f(Recommend, `input { name: "text" data_type: TYPE_STRING dims: [] optional: true }`)
	f(Recommend, `input { name: "diary" data_type: TYPE_STRING dims: [] optional: true }`)
	f(Day, `input { name: "limits" data_type: TYPE_FP32 dims: [3] optional: true }`)
}

func TestCheckNoShow(t *testing.T) {
	good := []float32{34, 0, 12, 0, 9.5, 1, 6, 0, 0, 0, 0, 0, 3, 1, 0, 40, 1, 0}
	f := func(at int, v float32, want api.Code) {
		t.Helper()
		rows := slices.Concat(good, good)
		rows[len(good)+at] = v
		// One byte off, as a request's body may have it.
		b := make([]byte, 1+4*len(rows))
		copy(b[1:], tensor.FromSlice(rows, 2, len(good)).Bytes())
		x := &tensor.Tensor{}
		x.View(tensor.Float32, tensor.Shape{2, len(good)}, b[1:])
		if err := CheckNoShow("numeric", x); api.CodeOf(err) != want {
			t.Errorf("column %d is %v: %v, want %q", at, v, err, want)
		}
	}
	f(0, 120, "")
	f(0, 121, appointment.CodeBadAge)
	f(0, -1, appointment.CodeBadAge)
	f(2, -1, appointment.CodeBookedAfterDay)
	f(13, 4, appointment.CodeBadHistory)
	f(7, float32(math.NaN()), appointment.CodeNotFinite)
	f(17, float32(math.Inf(1)), appointment.CodeNotFinite)
	if err := CheckNoShow("numeric", tensor.New(tensor.Float32, tensor.Shape{0, 17})); api.CodeOf(err) != appointment.CodeEmptyBatch {
		t.Errorf("no rows: %v", err)
	}
	if err := CheckNoShow("neighbourhood", tensor.FromSlice([]int64{-7}, 1)); err != nil {
		t.Error(err)
	}
}
