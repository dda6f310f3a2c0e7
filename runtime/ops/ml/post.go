package ml

import (
	"fmt"
	"math"
)

// Post is what is done to the scores at the end.
type Post uint8

// The transforms, in the order of TreeEnsemble (ai.onnx.ml 5).
const (
	None Post = iota
	Softmax
	Logistic
	SoftmaxZero
	Probit
)

func parsePost(s string) (Post, error) {
	switch s {
	case "NONE":
		return None, nil
	case "SOFTMAX":
		return Softmax, nil
	case "LOGISTIC":
		return Logistic, nil
	case "SOFTMAX_ZERO":
		return SoftmaxZero, nil
	case "PROBIT":
		return Probit, nil
	}
	return 0, fmt.Errorf("post_transform %q is unknown", s)
}

func exp32(x float32) float32 { return float32(math.Exp(float64(x))) }

func logistic(x float32) float32 {
	v := 1 / (1 + exp32(-float32(math.Abs(float64(x)))))
	if x < 0 {
		return 1 - v
	}
	return v
}

// probit is the inverse of the normal distribution through Winitzki's approximation of
// the inverse error function, as ONNX Runtime computes it.
func probit(p float32) float32 {
	x := 2*p - 1
	sign := float32(1)
	if x < 0 {
		sign = -1
	}
	log := float32(math.Log(float64((1 - x) * (1 + x))))
	v := float32(2/(math.Pi*0.147)) + 0.5*log
	v2 := 1 / float32(0.147) * log
	v3 := -v + float32(math.Sqrt(float64(v*v-v2)))
	return math.Sqrt2 * sign * float32(math.Sqrt(float64(v3)))
}

func softmax(s []float32) {
	top := float32(-math.MaxFloat32)
	for _, v := range s {
		top = max(top, v)
	}
	var sum float32
	for i, v := range s {
		s[i] = exp32(v - top)
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
	}
}

// softmaxZero leaves scores of (almost) zero out of the sum.
func softmaxZero(s []float32) {
	top := float32(-math.MaxFloat32)
	for _, v := range s {
		top = max(top, v)
	}
	e := exp32(-top)
	var sum float32
	for i, v := range s {
		if v > 1e-7 || v < -1e-7 {
			s[i] = exp32(v - top)
			sum += s[i]
		} else {
			s[i] = v * e
		}
	}
	for i := range s {
		s[i] /= sum
	}
}

// Apply transforms the scores of one row in place; for two or more of them.
func (p Post) Apply(s []float32) {
	switch p {
	case Softmax:
		softmax(s)
	case SoftmaxZero:
		softmaxZero(s)
	case Logistic:
		for i, v := range s {
			s[i] = logistic(v)
		}
	case Probit:
		for i, v := range s {
			s[i] = probit(v)
		}
	}
}

// second says what becomes of a lone score when there are two classes.
type second uint8

const (
	alone      second = iota // it stays alone
	complement               // 1−s, s: weights of one sign
	mirror                   // −s, s: weights of both signs
)

// pair gives the two scores that stand for one. Of the transforms, only the logistic is
// applied to a pair; and only a probit to a score that stays alone, which it makes so.
func (p Post) pair(s float32, how second) (neg, pos float32, two bool) {
	switch {
	case p == Probit:
		return probit(s), 0, false
	case how != alone && p == Logistic:
		return logistic(-s), logistic(s), true
	case how == complement:
		return 1 - s, s, true
	case how == mirror:
		return -s, s, true
	}
	return s, 0, false
}
