package compress

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Quantize stores weights in fewer bits, and computes in them where the kind says so.
type Quantize struct {
	Kind Kind
	// Block is the number of weights that share a scale in the kinds by block; a power of
	// two from 16 on, default 32.
	Block int
	// Calibrate says how Static finds the range of an activation; default MinMax.
	Calibrate Calibration
	// Skip names nodes (or their outputs) that stay as they are.
	Skip []string
	// Smooth, between 0 and 1, moves so much of the range of products' inputs into their
	// matrices, for the kind int8; 0: none, SmoothAuto: what costs each input's products least.
	Smooth Strength
	// Compensate chooses the codes of weights so that their errors make good for each other over
	// the inputs given, for the kind int8.
	Compensate bool
	// MinElements leaves smaller matrices alone; default 1024.
	MinElements int
}

// Strength is how much of the range of a product's input moves into its matrix.
type Strength float64

// SmoothAuto finds a strength for each input of a product by itself.
const SmoothAuto Strength = -1

// Set reads a number, or auto.
func (s *Strength) Set(text string) error {
	if text == "auto" {
		*s = SmoothAuto
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f < 1) {
		return fmt.Errorf("expected auto or a number from 0 to below 1, got %q", text)
	}
	*s = Strength(f)
	return nil
}

func (s *Strength) String() string {
	if *s == SmoothAuto {
		return "auto"
	}
	return strconv.FormatFloat(float64(*s), 'g', -1, 64)
}

// Type is what help texts say.
func (*Strength) Type() string { return "strength" }

// Kind is a way to quantize.
type Kind string

// The kinds.
const (
	// Dynamic: int8 weights by output channel, uint8 activations by tensor with ranges found
	// at run time (DynamicQuantizeLinear, MatMulInteger); embeddings int8 by column.
	Dynamic Kind = "int8"
	// Static: int8 weights by output channel and uint8 activations with ranges found from
	// data beforehand, convolutions too (QuantizeLinear, DequantizeLinear around each).
	Static Kind = "int8-static"
	// Int8Block and Int4Block: weights of large matrices by blocks along the summed axis,
	// activations in float32 (com.microsoft MatMulNBits).
	Int8Block Kind = "int8-block"
	Int4Block Kind = "int4-block"
	// Float16 and BFloat16: weights rest in 16 bits, and are computed with in float32.
	Float16  Kind = "fp16"
	BFloat16 Kind = "bf16"
)

// Kinds lists them for help texts.
var Kinds = []Kind{Dynamic, Static, Int8Block, Int4Block, Float16, BFloat16}

func (q *Quantize) run(e *env, m *graph.Model) error {
	if q.MinElements == 0 {
		q.MinElements = 1024
	}
	switch q.Kind {
	case Dynamic:
		return q.dynamic(e, m)
	case Static:
		return q.static(e, m)
	case Int8Block:
		return q.blocks(e, m, 8)
	case Int4Block:
		return q.blocks(e, m, 4)
	case Float16:
		return q.halves(e, m, tensor.Float16)
	case BFloat16:
		return q.halves(e, m, tensor.BFloat16)
	}
	names := make([]string, len(Kinds))
	for i, k := range Kinds {
		names[i] = string(k)
	}
	return fmt.Errorf("kind: expected one of %s, got %q", strings.Join(names, ", "), q.Kind)
}

func (q *Quantize) skips(n *graph.Node) bool {
	if slices.Contains(q.Skip, n.Name) && n.Name != "" {
		return true
	}
	return len(n.Out) > 0 && n.Out[0] != nil && slices.Contains(q.Skip, n.Out[0].Name)
}

// matrix is a product with a constant matrix: y = x·w (+ bias), w as [k, n].
type matrix struct {
	x, y, bias *graph.Value
	w          []float32
	k, n       int
	name       string
}

// matrixOf reads MatMul, and Gemm without scales of its own.
func (q *Quantize) matrixOf(n *graph.Node) (*matrix, bool) {
	if q.skips(n) || len(n.In) < 2 || n.In[0] == nil || n.In[0].Const != nil {
		return nil, false
	}
	w, s := floats(n.In[1], 2)
	if w == nil || len(w) < q.MinElements {
		return nil, false
	}
	p := &matrix{x: n.In[0], y: n.Out[0], w: w, k: s[0], n: s[1], name: n.In[1].Name}
	switch {
	case standard(n, "MatMul"):
		return p, true
	case standard(n, "Gemm") && n.Attrs.Int("transA", 0) == 0 && n.Attrs.Float("alpha", 1) == 1:
		if n.Attrs.Int("transB", 0) != 0 {
			p.w, p.k, p.n = transpose(w, s[0], s[1]), s[1], s[0]
		}
		if len(n.In) > 2 && n.In[2] != nil {
			if n.Attrs.Float("beta", 1) != 1 {
				return nil, false
			}
			p.bias = n.In[2]
		}
		return p, true
	}
	return nil, false
}

func transpose(w []float32, rows, cols int) []float32 {
	out := make([]float32, len(w))
	for i := range rows {
		for j := range cols {
			out[j*rows+i] = w[i*cols+j]
		}
	}
	return out
}

// columns quantizes a [k, n] matrix to int8 with one scale a column, no zero points: the
// greatest magnitude of a column becomes 127.
func columns(w []float32, k, n int) (q []int8, scales []float32) {
	scales = make([]float32, n)
	for i, x := range w {
		scales[i%n] = max(scales[i%n], float32(math.Abs(float64(x))))
	}
	for j := range scales {
		if scales[j] /= 127; scales[j] == 0 {
			scales[j] = 1
		}
	}
	q = make([]int8, len(w))
	for i, x := range w {
		q[i] = int8(max(-127, min(127, math.RoundToEven(float64(x)/float64(scales[i%n])))))
	}
	return q, scales
}

func (q *Quantize) dynamic(e *env, m *graph.Model) error {
	if err := e.raiseOpset(m, 13, "int8"); err != nil {
		return err
	}
	type quantized struct{ q, scale, zero *graph.Value }
	known := map[*graph.Value]quantized{}
	smoothed, err := q.smooth(e, m)
	if err != nil {
		return err
	}
	compensated, err := q.compensate(e, m)
	if err != nil {
		return err
	}
	products, tables := 0, 0
	err = rewrite(m, func(ed *editor, n *graph.Node) (bool, error) {
		if q.embeds(ed, n) {
			tables++
			return true, nil
		}
		p, ok := q.matrixOf(n)
		if !ok {
			return false, nil
		}
		seen := p.x
		smoothed.apply(ed, p)
		x, ok := known[p.x]
		if !ok {
			x = quantized{ed.value(p.x.Name+"/q", tensor.Uint8), ed.value(p.x.Name+"/scale", tensor.Float32), ed.value(p.x.Name+"/zero", tensor.Uint8)}
			ed.emit("DynamicQuantizeLinear", []*graph.Value{p.x}, []*graph.Value{x.q, x.scale, x.zero}, nil)
			known[p.x] = x
		}
		w, scales := compensated.columns(seen, smoothed.factors[seen], p.w, p.k, p.n)
		sums, real, scale := ed.value(p.y.Name+"/sums", tensor.Int32), ed.value(p.y.Name+"/real", tensor.Float32), ed.value(p.y.Name+"/scale", tensor.Float32)
		ed.emit("MatMulInteger", []*graph.Value{x.q, ed.constant(p.name+"/q", tensor.FromSlice(w, p.k, p.n)), x.zero}, []*graph.Value{sums}, nil)
		ed.emit("Cast", []*graph.Value{sums}, []*graph.Value{real}, graph.Attrs{"to": intAttr(tensor.Float32.ONNX())})
		ed.emit("Mul", []*graph.Value{x.scale, ed.constant(p.name+"/scale", tensor.FromSlice(scales, p.n))}, []*graph.Value{scale}, nil)
		y := p.y
		if p.bias != nil {
			y = ed.value(p.y.Name+"/product", tensor.Float32)
		}
		ed.emit("Mul", []*graph.Value{real, scale}, []*graph.Value{y}, nil)
		if p.bias != nil {
			ed.emit("Add", []*graph.Value{y, p.bias}, []*graph.Value{p.y}, nil)
		}
		products++
		return true, nil
	})
	if err == nil && products+tables == 0 {
		err = fmt.Errorf("int8: the model has no product with a constant float32 matrix of %d elements or more, and no such embedding", q.MinElements)
	}
	e.note("quantize: %d products to int8 with dynamic activations, %d embeddings to int8", products, tables)
	return err
}

// embeds stores a looked-up table as int8, one scale a column, and dequantizes the rows
// that were looked up; false where n is no look-up.
func (q *Quantize) embeds(e *editor, n *graph.Node) bool {
	if !standard(n, "Gather") || n.Attrs.Int("axis", 0) != 0 || q.skips(n) {
		return false
	}
	table, s := floats(n.In[0], 2)
	if table == nil || len(table) < q.MinElements || s[0] <= 16 {
		return false
	}
	codes, scales := columns(table, s[0], s[1])
	rows := e.value(n.Out[0].Name+"/q", tensor.Int8)
	real := e.value(n.Out[0].Name+"/real", tensor.Float32)
	e.emit("Gather", []*graph.Value{e.constant(n.In[0].Name+"/q", tensor.FromSlice(codes, s[0], s[1])), n.In[1]}, []*graph.Value{rows}, nil)
	e.emit("Cast", []*graph.Value{rows}, []*graph.Value{real}, graph.Attrs{"to": intAttr(tensor.Float32.ONNX())})
	e.emit("Mul", []*graph.Value{real, e.constant(n.In[0].Name+"/scale", tensor.FromSlice(scales, s[1]))}, n.Out, nil)
	return true
}

// halves lets weights rest in 16 bits behind a Cast, which a runtime folds when it loads.
func (q *Quantize) halves(e *env, m *graph.Model, d tensor.DType) error {
	least := 6
	if d == tensor.BFloat16 {
		least = 13
	}
	if err := e.raiseOpset(m, least, string(q.Kind)); err != nil {
		return err
	}
	done := map[*graph.Value]*graph.Value{}
	bytes := 0
	err := rewrite(m, func(ed *editor, n *graph.Node) (bool, error) {
		if q.skips(n) {
			return false, nil
		}
		for i, v := range n.In {
			w, s := floats(v, -1)
			if w == nil || len(w) < q.MinElements {
				continue
			}
			real := done[v]
			if real == nil {
				t := tensor.New(d, s)
				if err := tensor.StoreFloat32s(t, w); err != nil {
					return false, err
				}
				real = ed.value(v.Name+"/real", tensor.Float32)
				ed.emit("Cast", []*graph.Value{ed.constant(v.Name+"/"+string(q.Kind), t)}, []*graph.Value{real}, graph.Attrs{"to": intAttr(tensor.Float32.ONNX())})
				done[v] = real
				bytes += 2 * len(w)
			}
			n.In[i] = real
		}
		return false, nil
	})
	e.note("quantize: %d constants rest in %s, %d bytes less", len(done), q.Kind, bytes)
	return err
}
