package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/graph"
	"google.golang.org/protobuf/proto"
)

// written is what the configuration says of one port.
type written struct {
	path    string // "input[0]"
	name    string
	kind    string // "input"
	dtype   inferencepb.DataType
	dims    []int64
	hasDims bool
	reshape *inferencepb.ModelTensorReshape
}

func (r *resolver) inputs() error {
	given := map[string]*inferencepb.ModelInput{}
	said := map[string]*written{}
	for i, in := range r.File.Proto.Input {
		path := fmt.Sprintf("input[%d]", i)
		if given[in.Name] != nil {
			return r.File.invalid(path+".name", "input '%s' is given twice", in.Name)
		}
		given[in.Name] = in
		said[in.Name] = &written{path: path, name: in.Name, kind: "input", dtype: in.DataType, dims: in.Dims, hasDims: r.File.Has(path + ".dims"), reshape: in.Reshape}
	}
	ports, err := r.ports("input", r.Runtime.Inputs, said)
	if err != nil {
		return err
	}
	r.c.Proto.Input = nil
	for i := range ports {
		p := &ports[i]
		if p.Hidden = r.hidden["input"+p.Name]; p.Hidden {
			if w := said[p.Name]; w != nil {
				return r.File.invalid(w.path+".name", "input '%s' is the server's by sequence_batching, requests can't give it", p.Name)
			}
			continue
		}
		out := &inferencepb.ModelInput{Name: p.Name}
		if g := given[p.Name]; g != nil {
			out = proto.Clone(g).(*inferencepb.ModelInput)
		}
		out.DataType, out.Dims = DataType(p.DType), r.unbatched(p.Shape)
		if p.Optional = out.Optional; p.Optional && (p.Shape == nil || slices.Contains(out.Dims, -1)) {
			return r.File.invalid(said[p.Name].path+".optional", "input '%s' has dims %v, expected fixed extents: the input that stands for one left out is made by them", p.Name, out.Dims)
		}
		r.c.Proto.Input = append(r.c.Proto.Input, out)
	}
	r.c.Inputs = ports
	return nil
}

func (r *resolver) outputs() error {
	given := map[string]*inferencepb.ModelOutput{}
	said := map[string]*written{}
	for i, o := range r.File.Proto.Output {
		path := fmt.Sprintf("output[%d]", i)
		if given[o.Name] != nil {
			return r.File.invalid(path+".name", "output '%s' is given twice", o.Name)
		}
		given[o.Name] = o
		said[o.Name] = &written{path: path, name: o.Name, kind: "output", dtype: o.DataType, dims: o.Dims, hasDims: r.File.Has(path + ".dims"), reshape: o.Reshape}
	}
	ports, err := r.ports("output", r.Runtime.Outputs, said)
	if err != nil {
		return err
	}
	r.c.Proto.Output = nil
	for i := range ports {
		p := &ports[i]
		if p.Hidden = r.hidden["output"+p.Name] && said[p.Name] == nil; p.Hidden {
			continue
		}
		out := &inferencepb.ModelOutput{Name: p.Name}
		if g := given[p.Name]; g != nil {
			out = proto.Clone(g).(*inferencepb.ModelOutput)
			if g.LabelFilename != "" {
				if p.Labels, err = r.labels(said[p.Name].path+".label_filename", g.LabelFilename); err != nil {
					return err
				}
			}
		}
		out.DataType, out.Dims = DataType(p.DType), r.unbatched(p.Shape)
		r.c.Proto.Output = append(r.c.Proto.Output, out)
	}
	r.c.Outputs = ports
	return nil
}

// unbatched is a port's shape as dims.
func (r *resolver) unbatched(shape []int64) []int64 {
	if r.c.MaxBatch > 0 && len(shape) > 0 {
		shape = shape[1:]
	}
	return slices.Clone(shape)
}

// ports derives the ports of one side and checks what is written of them.
func (r *resolver) ports(kind string, model []runtime.Port, said map[string]*written) ([]Port, error) {
	var names []string
	out := make([]Port, 0, len(model))
	extra := maps.Clone(said)
	for _, m := range model {
		names = append(names, "'"+m.Name+"'")
		p, err := r.port(m, said[m.Name])
		if err != nil {
			return nil, err
		}
		delete(extra, m.Name)
		out = append(out, p)
	}
	if len(extra) > 0 {
		w := extra[slices.Min(slices.Collect(maps.Keys(extra)))]
		return nil, r.File.invalid(w.path+".name", "the model has no %s '%s', expected one of %s", kind, w.name, strings.Join(names, ", "))
	}
	return out, nil
}

// port combines what the model declares and what is written (nil: nothing).
func (r *resolver) port(m runtime.Port, w *written) (Port, error) {
	p := Port{Name: m.Name}
	if m.Type.Kind == graph.TensorKind {
		p.DType = m.Type.DType
	}
	dims, known := r.modelDims(m)
	if w == nil {
		if known {
			p.Shape = r.batched(dims)
		}
		return p, nil
	}
	if w.dtype != inferencepb.DataType_TYPE_INVALID {
		if want := DataType(p.DType); want != w.dtype && (p.DType != 0 || m.Type.Kind != graph.TensorKind) {
			return p, r.File.invalid(w.path+".data_type", "%s '%s': got %v, expected %v as in the model", w.kind, m.Name, w.dtype, want)
		}
		p.DType = DType(w.dtype)
	}
	if !w.hasDims {
		if known {
			p.Shape = r.batched(dims)
		}
		return p, nil
	}
	if err := r.checkDims(w); err != nil {
		return p, err
	}
	if w.reshape != nil {
		p.Reshaped, p.Reshape = true, slices.Clone(w.reshape.Shape)
	} else if known && len(dims) == 0 && r.c.MaxBatch == 0 && slices.Equal(w.dims, []int64{1}) {
		p.Reshaped, p.Reshape = true, []int64{} // a scalar, which existing configurations write as [1]
	}
	inner, where := w.dims, ".dims"
	if p.Reshaped {
		inner = p.Reshape
	}
	if w.reshape != nil {
		where = ".reshape.shape"
	}
	if known && !fits(inner, dims) {
		return p, r.File.invalid(w.path+where, "%s '%s': got %s, expected %s as in the model%s", w.kind, m.Name, dimsText(inner), dimsText(dims), r.dimsHint(m, inner))
	}
	p.Shape = r.batched(w.dims)
	return p, nil
}

// modelDims is what dims must say of a port; unknown if the model declares no rank.
func (r *resolver) modelDims(m runtime.Port) (dims []int64, known bool) {
	if m.Type.Kind != graph.TensorKind || !m.Type.Ranked {
		return nil, false
	}
	s := m.Shape()
	if r.c.MaxBatch == 0 {
		return s, true
	}
	if len(s) == 0 {
		return nil, false // an output's declaration that the batch contradicts
	}
	return s[1:], true
}

// batched puts the batch dimension in front of dims.
func (r *resolver) batched(dims []int64) []int64 {
	s := make([]int64, 0, len(dims)+1)
	if r.c.MaxBatch > 0 {
		s = append(s, -1)
	}
	return append(s, dims...)
}

// checkDims checks written dims by themselves and against their reshape.
func (r *resolver) checkDims(w *written) error {
	count := func(path string, dims []int64) (size, open int64, err error) {
		size = 1
		for _, d := range dims {
			switch {
			case d == -1:
				open++
			case d < 1 || size > 1<<40/d:
				return 0, 0, r.File.invalid(path, "%s '%s': got %s, expected extents of 1 or more, or -1 for any, and at most 2^40 elements", w.kind, w.name, dimsText(dims))
			default:
				size *= d
			}
		}
		return size, open, nil
	}
	n, open, err := count(w.path+".dims", w.dims)
	if err != nil || w.reshape == nil {
		return err
	}
	n2, open2, err := count(w.path+".reshape.shape", w.reshape.Shape)
	if err != nil {
		return err
	}
	if n != n2 || open != open2 {
		return r.File.invalid(w.path+".reshape.shape", "%s '%s': got %s, expected as many elements as dims, %s", w.kind, w.name, dimsText(w.reshape.Shape), dimsText(w.dims))
	}
	return nil
}

// dimsHint explains the commonest mistakes.
func (r *resolver) dimsHint(m runtime.Port, got []int64) string {
	whole := m.Shape()
	switch {
	case r.c.MaxBatch > 0 && len(whole) == 1 && slices.Equal(got, []int64{1}):
		return ": each row is one value, so dims: [ ]; reshape { shape: [ ] } lets requests send [batch, 1]"
	case r.c.MaxBatch > 0 && fits(got, whole):
		return fmt.Sprintf(": with max_batch_size %d dims leave the batch dimension out; max_batch_size: 0 takes whole shapes", r.c.MaxBatch)
	case r.c.MaxBatch == 0 && len(whole) > 0 && whole[0] < 0 && fits(got, whole[1:]):
		return ": with max_batch_size 0 dims are the whole shape, the batch dimension included"
	}
	return ""
}

// fits reports whether dims say what the model's shape allows: the same rank, and the
// same extent wherever the model's is fixed.
func fits(dims, model []int64) bool {
	if len(dims) != len(model) {
		return false
	}
	for i, d := range dims {
		if model[i] >= 0 && model[i] != d {
			return false
		}
	}
	return true
}

// labels reads a file with one label a line.
func (r *resolver) labels(path, name string) ([]string, error) {
	if !fs.ValidPath(name) || strings.ContainsRune(name, '\\') {
		return nil, r.File.invalid(path, "got %q, expected a file in the model's folder", name)
	}
	err := fs.ErrNotExist
	var b []byte
	if r.Read != nil {
		b, err = r.Read(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r.File.invalid(path, "there is no file %q in the model's folder", name)
	}
	if err != nil {
		return nil, api.Wrap(api.CodeLoadFailed, err, "%v: the file %q can't be read", r.File.At(path), name)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		out = append(out, strings.TrimRight(line, "\r\n"))
	}
	return out, nil
}

// dimsText prints dims as the configuration spells them.
func dimsText(d []int64) string {
	return strings.ReplaceAll(fmt.Sprint(d), " ", ", ")
}
