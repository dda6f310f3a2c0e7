package schedule

import "math"

// Rule is a rule of thumb for start times, as clinics use them.
type Rule string

// The rules, in the order of [Rules]. h is session / patients, m the mean
// service times, q the probabilities of coming.
const (
	// RuleEqual: one patient every h minutes.
	RuleEqual Rule = "equal_T_over_N"
	// RuleBaileyWelch: two at the start, then one every h.
	RuleBaileyWelch Rule = "bailey_welch"
	// RuleMeanInterval: each at the end of the mean times before.
	RuleMeanInterval Rule = "mean_interval"
	// RuleBaileyWelchMean: two at the start, then as the mean times end.
	RuleBaileyWelchMean Rule = "bailey_welch_mean_interval"
	// RuleShowAdjusted: as mean interval, with mean times weighted by q.
	RuleShowAdjusted Rule = "show_adjusted"
	// RuleDoubleBook: neighbours who together will rather be one than two share a start.
	RuleDoubleBook Rule = "double_book_pairs"
)

// Rules returns all rules.
func Rules() []Rule {
	return []Rule{RuleEqual, RuleBaileyWelch, RuleMeanInterval, RuleBaileyWelchMean, RuleShowAdjusted, RuleDoubleBook}
}

// Times returns the rule's start minutes for p's patients in the given order,
// rounded half-to-even to the grid and never decreasing.
func (rule Rule) Times(p *Problem) []int {
	return rule.times(p, newServices(p.Patients))
}

func (rule Rule) times(p *Problem, sv services) []int {
	n := len(p.Patients)
	h := float64(p.Session) / float64(n)
	a := make([]float64, n)
	sum, last := 0.0, 0.0
	for i, q := range p.Patients {
		switch rule {
		case RuleEqual:
			a[i] = float64(i) * h
		case RuleBaileyWelch:
			a[i] = math.Max(0, float64(i-1)) * h
		case RuleMeanInterval, RuleShowAdjusted:
			a[i] = sum
		case RuleBaileyWelchMean:
			a[i] = last
		}
		last = sum
		if rule == RuleShowAdjusted {
			sum += (1 - q.NoShow) * sv.mean[i]
		} else {
			sum += sv.mean[i]
		}
	}
	if rule == RuleDoubleBook {
		doubleBook(p, sv, a)
	}
	return toGrid(a, p.Grid)
}

func doubleBook(p *Problem, sv services, a []float64) {
	t := 0.0
	for i := 0; i < len(a); {
		a[i] = t
		t += sv.mean[i]
		if i+1 < len(a) && p.Patients[i].NoShow+p.Patients[i+1].NoShow >= .5 {
			a[i+1] = a[i]
			i++
		}
		i++
	}
}

// toGrid rounds half-to-even to the grid and takes the running maximum, from 0.
func toGrid(a []float64, grid int) []int {
	out := make([]int, len(a))
	last := 0
	for i, x := range a {
		last = max(last, int(math.RoundToEven(x/float64(grid)))*grid)
		out[i] = last
	}
	return out
}

// Baselines returns the exact outcome of each rule on p's given order. p must be
// valid.
func Baselines(p *Problem) map[Rule]Result {
	sv := newServices(p.Patients)
	out := make(map[Rule]Result, 6)
	for _, rule := range Rules() {
		out[rule] = evaluate(p, sv, Plan{identity(len(p.Patients)), rule.times(p, sv)})
	}
	return out
}

func identity(n int) []int {
	o := make([]int, n)
	for i := range o {
		o[i] = i
	}
	return o
}
