package form

import "github.com/aimass/aimass/runtime/tensor"

// narrowTerms is the longest sum that SumRounded adds in bfloat16 itself. Beyond it the
// eight bits of significand lose terms: a count by ones stops at 256.
const narrowTerms = 8

// SumRounded adds terms that are already rounded to d, for operators that the standard
// defines as a chain of roundings, and rounds the sum to d. A short bfloat16 sum is
// rounded after each term, in order, as the standard's reference does; a longer one, and
// every float16 sum, is added wide and rounded once.
func SumRounded[T Real](d tensor.DType, terms []T) float64 {
	round := Rounder(d)
	sum := 0.0
	if d == tensor.BFloat16 && len(terms) <= narrowTerms {
		for _, v := range terms {
			sum = round(sum + float64(v))
		}
		return sum
	}
	for _, v := range terms {
		sum += float64(v)
	}
	return round(sum)
}
