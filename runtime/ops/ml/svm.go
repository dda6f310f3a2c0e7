package ml

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
)

// svmKernel is the kernel function of a support vector model.
type svmKernel struct {
	kind                string
	gamma, coef0, power float64
}

func readKernel(a graph.Attrs) (svmKernel, error) {
	k := svmKernel{kind: a.Str("kernel_type", "LINEAR")}
	switch k.kind {
	case "LINEAR", "POLY", "RBF", "SIGMOID":
	default:
		return k, fmt.Errorf("kernel_type %q is unknown", k.kind)
	}
	p := a.Floats("kernel_params")
	if len(p) == 0 {
		return k, nil
	}
	if len(p) != 3 {
		return k, fmt.Errorf("kernel_params has %d entries, expected gamma, coef0 and degree", len(p))
	}
	k.gamma, k.coef0, k.power = float64(p[0]), float64(p[1]), float64(p[2])
	return k, nil
}

// values computes the kernel of x with each support vector, one after the other in sv.
func (k svmKernel) values(dst, x, sv []float32) {
	for i := range dst {
		v := sv[i*len(x) : (i+1)*len(x)]
		var s float64
		if k.kind == "RBF" {
			for j, a := range x {
				d := float64(a) - float64(v[j])
				s += d * d
			}
			dst[i] = float32(math.Exp(-k.gamma * s))
			continue
		}
		for j, a := range x {
			s += float64(a) * float64(v[j])
		}
		switch k.kind {
		case "POLY":
			s = math.Pow(k.gamma*s+k.coef0, k.power)
		case "SIGMOID":
			s = math.Tanh(k.gamma*s + k.coef0)
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
