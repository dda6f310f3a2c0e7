package schedule

import (
	"math"
	"path/filepath"
	"testing"

	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

func instances(t testing.TB) []*Instance {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) != 12 {
		t.Fatalf("%d instance files, want 12 (%v)", len(files), err)
	}
	var all []*Instance
	for _, f := range files {
		in, err := ReadInstance(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, in)
	}
	return all
}

func TestStoredCostsAreReproduced(t *testing.T) {
	worst := 0.0
	f := func(name string, got Result, want Recorded) {
		t.Helper()
		for _, d := range []float64{
			got.Cost - want.Cost, got.WaitTotal - want.WaitTotal, got.Idle - want.Idle,
			got.Overtime - want.Overtime, got.MaxWait() - want.MaxMeanWait,
		} {
			worst = max(worst, math.Abs(d))
			if !(math.Abs(d) <= 1e-9) {
				t.Errorf("%s: got %+v, stored %+v", name, got, want)
			}
		}
	}
	for _, in := range instances(t) {
		p := in.Problem()
		for rule, r := range Baselines(p) {
			f(in.Name+" "+string(rule), r, in.Baselines[string(rule)])
		}
		if err := in.BestKnown.Plan.Check(p); err != nil {
			t.Fatal(err)
		}
		f(in.Name+" best known", Evaluate(p, in.BestKnown.Plan), in.BestKnown.Recorded)
	}
	t.Logf("largest difference %.1e", worst)
}

func TestServicePMF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mean := rapid.Float64Range(.05, 120).Draw(t, "mean")
		cv := rapid.Float64Range(0, 3).Draw(t, "cv")
		p := ServicePMF(mean, cv)
		sum := 0.0
		for k, x := range p {
			if x < 0 || math.IsNaN(x) {
				t.Fatalf("pmf[%d] = %v", k, x)
			}
			sum += x
		}
		if math.Abs(sum-1) > 1e-12 || p[0] != 0 {
			t.Fatalf("sum %v, pmf[0] %v", sum, p[0])
		}
		if cv == 0 && math.Abs(MeanOf(p)-mean) > .5+1e-9 && mean > .5 {
			t.Fatalf("certain service of %v became %v", mean, MeanOf(p))
		}
		if float64(len(p)) != pmfLength(Patient{Mean: mean, CV: cv}) && cv > 1e-6 && len(p) > 2 {
			t.Fatalf("length %d, announced %v", len(p), pmfLength(Patient{Mean: mean, CV: cv}))
		}
	})
}

// Convolution by definition, to hold the fast loops.
func convolveSlow(v, b []float64, n int) []float64 {
	out := make([]float64, n)
	for i, x := range v {
		for j, y := range b {
			if i+j < n {
				out[i+j] += x * y
			}
		}
	}
	return out
}

func TestLoopsAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vec := rapid.SliceOfN(rapid.Float64Range(-1, 1), 1, 40)
		v, b := vec.Draw(t, "v"), vec.Draw(t, "b")
		n := rapid.IntRange(1, len(v)+len(b)-1).Draw(t, "keep")
		got := make([]float64, n)
		convolveAdd(got, v, b, .5)
		for i, want := range convolveSlow(v, b, n) {
			if math.Abs(got[i]-.5*want) > 1e-12 {
				t.Fatalf("convolution [%d] %v, want %v", i, got[i], .5*want)
			}
		}
		g := rapid.SliceOfN(rapid.Float64Range(-1, 1), n+len(b)-1, n+len(b)-1).Draw(t, "g")
		c := make([]float64, n)
		correlateAdd(c, g, b)
		for i := range c {
			want := 0.0
			for s, x := range b {
				want += x * g[i+s]
			}
			if math.Abs(c[i]-want) > 1e-12 {
				t.Fatalf("correlation [%d] %v, want %v", i, c[i], want)
			}
		}
		want := 0.0
		for i := range min(len(v), len(b)) {
			want += v[i] * b[i]
		}
		if math.Abs(dot(v, b)-want) > 1e-12 {
			t.Fatalf("dot %v, want %v", dot(v, b), want)
		}
	})
}

func TestSearchKernelKeepsMassAndMean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pmf := ServicePMF(rapid.Float64Range(.5, 200).Draw(t, "mean"), rapid.Float64Range(0, 3).Draw(t, "cv"))
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		k := searchKernel(pmf, q)
		mass, mean := 0.0, 0.0
		for i, x := range k.dense {
			mass += x
			mean += float64(i) * x
		}
		for i, x := range k.tail {
			mass += x.p
			mean += float64(x.at) * x.p
			if i > 0 && x.at <= k.tail[i-1].at {
				t.Fatalf("points do not rise: %v", k.tail)
			}
		}
		if math.Abs(mass-1) > 1e-9 || math.Abs(mean-q*MeanOf(pmf)) > 1e-9*(1+mean) {
			t.Fatalf("mass %v, mean %v, want %v", mass, mean, q*MeanOf(pmf))
		}
	})
}
