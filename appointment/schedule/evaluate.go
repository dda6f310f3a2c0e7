package schedule

import "math"

// Result is the exact expected outcome of a plan. Minutes throughout.
type Result struct {
	// Cost is the weighted sum of the next three.
	Cost float64
	// WaitTotal is the expected waiting of all patients who come.
	WaitTotal float64
	Idle      float64
	Overtime  float64
	// Wait[i] is the expected wait of patient i (index of the patient, not of the
	// place) given that the patient comes.
	Wait []float64
	// GroupWait[g] is the mean wait of group g's patients, weighted by their
	// probability of coming; NaN for a number no patient has. Nil without groups.
	GroupWait []float64
}

// MaxWait returns the worst-placed patient's expected wait.
func (r *Result) MaxWait() float64 {
	m := 0.0
	for _, w := range r.Wait {
		m = max(m, w)
	}
	return m
}

// services are the service distributions of a problem's patients, one for each
// distinct pair of mean and cv, and their means.
type services struct {
	pmf  [][]float64
	mean []float64
}

func newServices(patients []Patient) services {
	type key struct{ mean, cv float64 }
	seen := map[key]int{}
	s := services{make([][]float64, len(patients)), make([]float64, len(patients))}
	for i, p := range patients {
		k := key{p.Mean, p.CV}
		if j, ok := seen[k]; ok {
			s.pmf[i], s.mean[i] = s.pmf[j], s.mean[j]
			continue
		}
		s.pmf[i] = ServicePMF(p.Mean, p.CV)
		s.mean[i] = MeanOf(s.pmf[i])
		seen[k] = i
	}
	return s
}

// Evaluate returns the exact expected outcome of a plan by convolution of the
// workload in float64. Workloads above session + all service means + 400 minutes
// are dropped. The plan must be valid for p ([Plan.Check], [Problem.Validate]).
func Evaluate(p *Problem, pl Plan) Result {
	return evaluate(p, newServices(p.Patients), pl)
}

func evaluate(p *Problem, sv services, pl Plan) Result {
	n := len(p.Patients)
	r := Result{Wait: make([]float64, n)}
	busy, all := 0.0, 0.0
	for i, q := range p.Patients {
		busy += (1 - q.NoShow) * sv.mean[i]
		all += sv.mean[i]
	}
	keep := int(float64(p.Session) + all + 400)
	v, out := make([]float64, 1, keep), make([]float64, 0, keep)
	v[0] = 1
	for k, i := range pl.Order {
		if k > 0 {
			v = shiftDown(v, pl.Times[k]-pl.Times[k-1])
		}
		q := 1 - p.Patients[i].NoShow
		r.Wait[i] = MeanOf(v)
		r.WaitTotal += q * r.Wait[i]
		out = convolveExact(out, v, sv.pmf[i], q, keep)
		v, out = out, v
	}
	for k, x := range v {
		r.Overtime += x * math.Max(float64(k+pl.Times[n-1]-p.Session), 0)
	}
	r.Idle = float64(p.Session) + r.Overtime - busy
	r.Cost = p.Weights.Wait*r.WaitTotal + p.Weights.Idle*r.Idle + p.Weights.Overtime*r.Overtime
	r.GroupWait = groupWaits(p, r.Wait)
	return r
}

func groupWaits(p *Problem, wait []float64) []float64 {
	if p.Groups == nil {
		return nil
	}
	top := 0
	for _, g := range p.Groups {
		top = max(top, g)
	}
	sum, weight := make([]float64, top+1), make([]float64, top+1)
	for i, g := range p.Groups {
		q := 1 - p.Patients[i].NoShow
		sum[g] += q * wait[i]
		weight[g] += q
	}
	for g := range sum {
		if weight[g] == 0 {
			sum[g] = math.NaN()
			continue
		}
		sum[g] /= weight[g]
	}
	return sum
}

// shiftDown moves the workload v down by gap minutes of work done, in place.
func shiftDown(v []float64, gap int) []float64 {
	if gap <= 0 {
		return v
	}
	idle := 0.0
	for _, x := range v[:min(gap+1, len(v))] {
		idle += x
	}
	v[0] = idle
	if gap+1 >= len(v) {
		return v[:1]
	}
	n := copy(v[1:], v[gap+1:])
	return v[:n+1]
}

// convolveExact writes v ∗ (q·pmf + (1−q)·δ0) to dst, at most keep entries, and
// returns it. dst must have a capacity of keep and not overlap v.
func convolveExact(dst, v, pmf []float64, q float64, keep int) []float64 {
	n := min(len(v)+len(pmf)-1, keep)
	dst = dst[:n]
	clear(dst)
	if q < 1 {
		m := min(n, len(v))
		addScaled(dst[:m], v[:m], 1-q)
	}
	if q > 0 {
		convolveAdd(dst, v, pmf, q)
	}
	return dst
}
