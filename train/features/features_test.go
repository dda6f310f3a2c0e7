package features

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/tensor"
)

// bound describes normal numbers, a tenth of them missing, and three categories, and binds them
// to inputs x FP32 [N,1] and c BYTES [N,1] with the output p FP32 [N].
func monitor(t testing.TB, rows int) (*Monitor, func(shift float64, weights []float64, missing float64) ([]tensor.Tensor, []tensor.Value)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"red", "green", "blue"}
	draw := func(n int, shift float64, weights []float64, missing float64) (x []float64, c []int32) {
		for range n {
			v := rng.NormFloat64() + shift
			if rng.Float64() < missing {
				v = math.NaN()
			}
			x = append(x, v)
			u, k := rng.Float64(), 0
			for ; k < len(weights)-1 && u > weights[k]; k++ {
				u -= weights[k]
			}
			c = append(c, int32(k))
		}
		return x, c
	}
	x, c := draw(5000, 0, []float64{.5, .3, .2}, .1)
	s := &Schema{Task: "regression", Rows: len(x), Features: make([]Feature, 2), Prediction: &Prediction{Tensor: "p", Mean: 10, Std: 1, Rows: 100}}
	s.Features[0].Name, s.Features[0].Tensor = "x", "x"
	s.Features[0].DescribeNumbers(x)
	s.Features[1].Name, s.Features[1].Tensor = "c", "c"
	s.Features[1].DescribeCodes(c, names)
	js, err := s.JSON()
	if err == nil {
		s, err = Parse(js)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := Bind(s, Warn, []Port{{"x", tensor.Float32}, {"c", tensor.String}}, []Port{{"p", tensor.Float32}})
	if err != nil {
		t.Fatal(err)
	}
	return m, func(shift float64, weights []float64, missing float64) ([]tensor.Tensor, []tensor.Value) {
		x, c := draw(rows, shift, weights, missing)
		data := make([]byte, 0, 4*rows)
		texts := make([]string, rows)
		p := make([]float32, rows)
		for i, v := range x {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
			texts[i], p[i] = names[c[i]], 10+float32(shift)
		}
		in := make([]tensor.Tensor, 2)
		in[0].View(tensor.Float32, tensor.Shape{rows, 1}, data)
		in[1].ViewStrings(tensor.Shape{rows, 1}, texts)
		return in, []tensor.Value{tensor.FromSlice(p, rows)}
	}
}

var asTrained = []float64{.5, .3, .2}

// TestDrift: what is as in training is not called drift, in any of many windows; a shift, other
// shares and more missing values are.
func TestDrift(t *testing.T) {
	f := func(shift float64, weights []float64, missing float64, numeric, categorical bool) {
		t.Helper()
		m, draw := monitor(t, 10)
		for range 100 {
			m.Observe(draw(shift, weights, missing))
		}
		d := m.Drift()
		if d.Rows != 1000 || d.Features[0].Drifted != numeric || d.Features[1].Drifted != categorical || d.Drifted != (numeric || categorical) {
			t.Errorf("shift %v, shares %v, missing %v: %+v", shift, weights, missing, d)
		}
		if k := d.Features[0]; (k.KS > k.KSLimit) != (shift != 0) {
			t.Errorf("shift %v: KS %v, limit %v", shift, k.KS, k.KSLimit)
		}
		if p := d.Prediction; p == nil || math.Abs(p.Mean-10-shift) > 1e-5 || p.TrainingMean != 10 {
			t.Errorf("shift %v: prediction %+v", shift, p)
		}
	}
	f(0, asTrained, .1, false, false)
	f(1, asTrained, .1, true, false)
	f(0, []float64{.1, .3, .6}, .1, false, true)
	f(0, asTrained, .6, true, false)
	for range 50 { // little has been seen
		m, draw := monitor(t, 16)
		m.Observe(draw(0, asTrained, .1))
		if d := m.Drift(); d.Drifted {
			t.Errorf("16 rows as in training count as drift: %+v", d.Features)
		}
	}
}

// TestPSIByHand: the index of a distribution that is known.
func TestPSIByHand(t *testing.T) {
	got, groups := psi([]float64{.5, .5, 0}, []float64{250_000, 750_000, 0}, 1_000_000, true)
	if want := .25*math.Log(.75/.5) - .25*math.Log(.25/.5); groups != 2 || math.Abs(got-want) > 1e-5 {
		t.Errorf("PSI %v of %d groups, want %v of 2", got, groups, want)
	}
}

// TestWindowsRoll: what was long ago does not count.
func TestWindowsRoll(t *testing.T) {
	m, draw := monitor(t, mostObserved)
	for range 2000 {
		m.Observe(draw(3, asTrained, .1))
	}
	for range 2 * windowRows / mostObserved {
		m.Observe(draw(0, asTrained, .1))
	}
	if d := m.Drift(); d.Drifted || d.Rows > 2*windowRows+mostObserved {
		t.Errorf("%d rows, drifted %v", d.Rows, d.Drifted)
	}
}

// TestObserveAllocatesNothing: it is on the path of every request.
func TestObserveAllocatesNothing(t *testing.T) {
	m, draw := monitor(t, 8)
	in, out := draw(0, asTrained, .1)
	n := testing.AllocsPerRun(100, func() {
		if err := m.Check(in); err != nil {
			t.Fatal(err)
		}
		m.Observe(in, out)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSchemasThatCantBe(t *testing.T) {
	f := func(text string) {
		t.Helper()
		if _, err := Parse([]byte(text)); api.CodeOf(err) != api.CodeFeatureSchemaInvalid {
			t.Errorf("%s: %v", text, err)
		}
	}
	f(`{`)
	f(`{"features":[{"name":"x","kind":"colour","statistics":{"shares":[1]}}]}`)
	f(`{"features":[{"name":"x","kind":"numeric","statistics":{"shares":[1]}}]}`)
	f(`{"features":[{"name":"x","kind":"numeric","low":0,"high":1,"statistics":{"quantiles":[1,0],"shares":[0,0,1]}}]}`)
	f(`{"features":[{"name":"x","kind":"numeric","low":0,"high":1,"statistics":{"quantiles":[0],"shares":[1]}}]}`)
	f(`{"features":[{"name":"x","kind":"numeric","low":0,"high":1,"column":-1,"statistics":{"shares":[1]}}]}`)
	f(`{"features":[{"name":"x","kind":"categorical","categories":["a"],"statistics":{"shares":[2,0]}}]}`)
	s, err := Parse([]byte(`{"features":[{"name":"x","kind":"numeric","tensor":"x","low":0,"high":1,"statistics":{"shares":[1]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []Port{{"y", tensor.Float32}, {"x", tensor.String}, {"x", tensor.Bool}} {
		if _, err := Bind(s, Warn, []Port{port}, nil); api.CodeOf(err) != api.CodeFeatureSchemaInvalid {
			t.Errorf("bound to %v: %v", port, err)
		}
	}
}

// FuzzMonitor: no schema that is accepted, and no input, brings the monitor down.
func FuzzMonitor(f *testing.F) {
	m, _ := monitor(f, 1)
	js, err := m.Schema.JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(js, []byte{0, 0, 128, 63}, "red")
	f.Add([]byte(`{"features":[{"name":"x","kind":"categorical","tensor":"x","categories":["a"],"statistics":{"shares":[1,0]}}]}`), []byte{0, 0, 192, 255}, "")
	f.Fuzz(func(t *testing.T, schema, data []byte, text string) {
		s, err := Parse(schema)
		if err != nil {
			return
		}
		m, err := Bind(s, Reject, []Port{{"x", tensor.Float32}, {"c", tensor.String}}, []Port{{"p", tensor.Float32}})
		if err != nil {
			return
		}
		n := len(data) / 4
		in := make([]tensor.Tensor, 2)
		in[0].View(tensor.Float32, tensor.Shape{n, 1}, data[:4*n])
		in[1].ViewStrings(tensor.Shape{1}, []string{text})
		if m.Check(in) == nil {
			m.Observe(in, []tensor.Value{tensor.FromSlice([]float32{1}, 1)})
		}
		_ = m.Drift()
	})
}

// BenchmarkMonitor is what a request of a row of 18 features pays.
func BenchmarkMonitor(b *testing.B) {
	m, draw := monitor(b, 9) // rows of two features
	in, out := draw(0, asTrained, .1)
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Check(in)
		m.Observe(in, out)
	}
}

// Numbers beyond float32 have statistics that can be stored.
func TestDescribeHugeNumbers(t *testing.T) {
	f := &Feature{Name: "x"}
	f.DescribeNumbers([]float64{1e308, -1e308, 1e-320, math.Inf(1), math.NaN()})
	if _, err := json.Marshal(f); err != nil {
		t.Error(err)
	}
	if st := f.Statistics; st.Max != math.MaxFloat32 || st.Min != -math.MaxFloat32 {
		t.Errorf("from %v to %v", st.Min, st.Max)
	}
}
