package mlp

import (
	"math"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/train/design"
)

// step computes the gradients of one batch: forward and backward through the layers as matrix
// products. Products are done on one thread, for they are small.
type step struct {
	net   *Model
	batch int
	// in are the inputs of each layer [batch, in], the last entry the scores; back are the
	// derivatives of the loss by them.
	in, back [][]float32
	// rows[j] are the places of the batch's categories in the table of embedding j.
	rows    [][]int
	labels  []float64
	weights []float64 // they sum to 1
	// grads and tables are the gradients of the layers and the embeddings.
	grads  []layer
	tables [][]float32
}

func newStep(net *Model, batch int) *step {
	s := &step{net: net, batch: batch, rows: make([][]int, len(net.embeddings)), labels: make([]float64, batch), weights: make([]float64, batch)}
	for _, l := range net.layers {
		s.in, s.back = append(s.in, make([]float32, batch*l.in)), append(s.back, make([]float32, batch*l.in))
		s.grads = append(s.grads, layer{l.in, l.out, make([]float32, len(l.w)), make([]float32, len(l.b))})
	}
	s.in, s.back = append(s.in, make([]float32, batch*net.Outputs)), append(s.back, make([]float32, batch*net.Outputs))
	for j, t := range net.embeddings {
		s.rows[j] = make([]int, batch)
		s.tables = append(s.tables, make([]float32, len(t.rows)))
	}
	return s
}

// load fills the batch; hide says whether a category is to be taken for unknown.
func (s *step) load(m *design.Matrix, rows []int, hide func() bool) {
	total := 0.0
	for i, r := range rows {
		s.labels[i], s.weights[i] = m.Labels[r], m.Weight(r)
		total += s.weights[i]
	}
	for i := range rows {
		s.weights[i] /= total
	}
	for j, cats := range m.Categories {
		for i, r := range rows {
			if s.rows[j][i] = m.Code(j, r); hide() {
				s.rows[j][i] = cats
			}
		}
	}
	width := s.net.layers[0].in
	for i, r := range rows {
		x := s.in[0][i*width : (i+1)*width]
		copy(x, m.Row(r))
		at := m.Width
		for j := range s.net.embeddings {
			t := &s.net.embeddings[j]
			copy(x[at:], t.rows[s.rows[j][i]*t.width:(s.rows[j][i]+1)*t.width])
			at += t.width
		}
	}
}

// gradients fills grads and tables and returns the batch's loss.
func (s *step) gradients(loss Loss) float64 {
	last := len(s.net.layers) - 1
	for i, l := range s.net.layers {
		ep := gemm.Epilogue{Bias: l.b}
		if i < last {
			ep.Act = act.Act{Func: act.Relu}
		}
		gemm.MatMul(&gemm.Product{M: s.batch, N: l.out, K: l.in, LDA: l.in, LDB: l.out, LDC: l.out}, s.in[i], l.w, s.in[i+1], &ep, 1)
	}
	value := s.derive(loss)
	for i := last; i >= 0; i-- {
		l, d := &s.net.layers[i], s.back[i+1]
		if i < last {
			for k, h := range s.in[i+1] {
				if h <= 0 {
					d[k] = 0
				}
			}
		}
		gemm.MatMul(&gemm.Product{M: l.in, N: l.out, K: s.batch, LDA: l.in, LDB: l.out, LDC: l.out, TransA: true}, s.in[i], d, s.grads[i].w, nil, 1)
		clear(s.grads[i].b)
		for r := range s.batch {
			for o, v := range d[r*l.out : (r+1)*l.out] {
				s.grads[i].b[o] += v
			}
		}
		if i > 0 || len(s.tables) > 0 {
			gemm.MatMul(&gemm.Product{M: s.batch, N: l.in, K: l.out, LDA: l.out, LDB: l.out, LDC: l.in, TransB: true}, d, l.w, s.back[i], nil, 1)
		}
	}
	s.scatter()
	return value
}

// scatter adds the derivatives by the embeddings up by category.
func (s *step) scatter() {
	width := s.net.layers[0].in
	at := s.net.width
	for j := range s.net.embeddings {
		w := s.net.embeddings[j].width
		clear(s.tables[j])
		for i, row := range s.rows[j] {
			to := s.tables[j][row*w : (row+1)*w]
			for k, v := range s.back[0][i*width+at : i*width+at+w] {
				to[k] += v
			}
		}
		at += w
	}
}

// derive sets the derivatives of the loss by the scores and returns the loss.
func (s *step) derive(loss Loss) float64 {
	last := len(s.in) - 1
	z, d := s.in[last], s.back[last]
	k := s.net.Outputs
	sum := 0.0
	for i, y := range s.labels {
		w := s.weights[i]
		switch loss {
		case Logistic:
			v := float64(z[i])
			sum += w * (max(v, 0) - v*y + math.Log1p(math.Exp(-math.Abs(v))))
			d[i] = float32(w * (1/(1+math.Exp(-v)) - y))
		case Softmax:
			row, to := z[i*k:(i+1)*k], d[i*k:(i+1)*k]
			top, total := float32(math.Inf(-1)), 0.0
			for _, v := range row {
				top = max(top, v)
			}
			for _, v := range row {
				total += math.Exp(float64(v - top))
			}
			for o, v := range row {
				to[o] = float32(w * math.Exp(float64(v-top)) / total)
			}
			to[int(y)] -= float32(w)
			sum += w * (float64(top) + math.Log(total) - float64(row[int(y)]))
		default:
			e := float64(z[i]) - y
			sum += w * e * e
			d[i] = float32(2 * w * e)
		}
	}
	return sum
}
