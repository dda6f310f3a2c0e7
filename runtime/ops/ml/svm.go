package ml

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
)

// Kernel is the kernel function of a support vector model, of kind LINEAR, POLY, RBF or SIGMOID.
type Kernel struct {
	Kind                string
	Gamma, Coef0, Power float64
}

// Vectors are support vectors, one after the other in Data.
type Vectors struct {
	Kernel          Kernel
	Data            []float32
	Count, Features int
}

// dot sums products in float64, in four sums so that none waits for the one before.
func dot(a, b []float32) float64 {
	var s0, s1, s2, s3 float64
	b = b[:len(a)]
	for len(a) >= 4 && len(b) >= 4 {
		s0 += float64(a[0]) * float64(b[0])
		s1 += float64(a[1]) * float64(b[1])
		s2 += float64(a[2]) * float64(b[2])
		s3 += float64(a[3]) * float64(b[3])
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s0 += float64(v) * float64(b[i])
	}
	return s0 + s1 + (s2 + s3)
}

func readKernel(a graph.Attrs) (Kernel, error) {
	k := Kernel{Kind: a.Str("kernel_type", "LINEAR")}
	switch k.Kind {
	case "LINEAR", "POLY", "RBF", "SIGMOID":
	default:
		return k, fmt.Errorf("kernel_type %q is unknown", k.Kind)
	}
	p := a.Floats("kernel_params")
	if len(p) == 0 {
		return k, nil
	}
	if len(p) != 3 {
		return k, fmt.Errorf("kernel_params has %d entries, expected gamma, coef0 and degree", len(p))
	}
	k.Gamma, k.Coef0, k.Power = float64(p[0]), float64(p[1]), float64(p[2])
	return k, nil
}

// Kernels computes the kernel of a row of Features with each of the vectors.
func (v *Vectors) Kernels(dst, x []float32) { v.Kernel.values(dst[:v.Count], x, v.Data) }

// values computes the kernel of x with each support vector, one after the other in sv.
func (k Kernel) values(dst, x, sv []float32) {
	for i := range dst {
		v := sv[i*len(x) : (i+1)*len(x)]
		var s float64
		if k.Kind == "RBF" {
			for j, a := range x {
				d := float64(a) - float64(v[j])
				s += d * d
			}
			dst[i] = float32(math.Exp(-k.Gamma * s))
			continue
		}
		for j, a := range x {
			s += float64(a) * float64(v[j])
		}
		switch k.Kind {
		case "POLY":
			s = math.Pow(k.Gamma*s+k.Coef0, k.Power)
		case "SIGMOID":
			s = math.Tanh(k.Gamma*s + k.Coef0)
		}
		dst[i] = float32(s)
	}
}

// coupling turns pairwise probabilities r (r[i·n+j] of i against j) into one for each
// class: Wu, Lin and Weng, "Probability estimates for multi-class classification by
// pairwise coupling", algorithm 2, in float32 with libsvm's limits.
func coupling(n int, r, p []float32) {
	q, qp := make([]float32, n*n), make([]float32, n)
	for i := range n {
		p[i] = 1 / float32(n)
		for j := range n {
			if j == i {
				continue
			}
			q[i*n+i] += r[j*n+i] * r[j*n+i]
			q[i*n+j] = -r[j*n+i] * r[i*n+j]
		}
	}
	eps := 0.005 / float32(n)
	for range 100 {
		var pqp float32
		for i := range n {
			qp[i] = 0
			for j := range n {
				qp[i] += q[i*n+j] * p[j]
			}
			pqp += p[i] * qp[i]
		}
		var worst float32
		for i := range n {
			worst = max(worst, float32(math.Abs(float64(qp[i]-pqp))))
		}
		if worst < eps {
			return
		}
		for i := range n {
			d := (pqp - qp[i]) / q[i*n+i]
			p[i] += d
			pqp = (pqp + d*(d*q[i*n+i]+2*qp[i])) / (1 + d) / (1 + d)
			for j := range n {
				qp[j] = (qp[j] + d*q[i*n+j]) / (1 + d)
				p[j] /= 1 + d
			}
		}
	}
}
