package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Step is one step of an ensemble: a model, and which of the ensemble's tensors it reads
// and writes.
type Step struct {
	// Model is a model of this server, or where Address is set of another one.
	Model string
	// Address is host:port of the v2 gRPC server that runs the model; empty: this one.
	Address string
	// Version is the model's version, 0 for the newest.
	Version         int64
	Inputs, Outputs []Link
	// Place is the step's index in the configuration.
	Place int
}

// Link ties a port of a step's model to a tensor of the ensemble.
type Link struct{ Port, Tensor string }

// remoteScheme is how the name of a model on another server begins.
const remoteScheme = "grpc://"

// maxSteps bounds an ensemble; each request visits all of them.
const maxSteps = 256

// IsEnsemble reports whether the configuration is that of an ensemble.
func (f *File) IsEnsemble() bool {
	if f == nil {
		return false
	}
	yes, err := f.ensemble()
	return yes && err == nil
}

// ensemble reports whether the configuration is that of an ensemble: it has steps, or says
// that it is one.
func (f *File) ensemble() (bool, error) {
	p := f.Proto
	steps, says := p.GetEnsembleScheduling() != nil, p.Platform == BackendEnsemble || p.Backend == BackendEnsemble
	switch {
	case !steps && !says:
		return false, nil
	case !steps:
		return true, f.invalid("ensemble_scheduling", "the platform is %q and there are no steps", BackendEnsemble)
	case p.Platform != "" && p.Platform != BackendEnsemble:
		return true, f.invalid("platform", "got %q, expected %q, as there is an ensemble_scheduling", p.Platform, BackendEnsemble)
	case p.Backend != "" && p.Backend != BackendEnsemble:
		return true, f.invalid("backend", "got %q, expected none, as there is an ensemble_scheduling", p.Backend)
	}
	return true, nil
}

// Path names a step's field for messages.
func (s *Step) Path(field string) string {
	return fmt.Sprintf("ensemble_scheduling.step[%d].%s", s.Place, field)
}

// Steps gives the steps of an ensemble, each behind those whose outputs it reads. The
// error names the step that is wrong: a tensor that nobody makes or that two make, an
// input of the ensemble that nobody reads, or a cycle.
func (f *File) Steps() ([]Step, error) {
	written := f.Proto.GetEnsembleScheduling().GetStep()
	const field = "ensemble_scheduling.step"
	if len(written) == 0 || len(written) > maxSteps {
		return nil, f.invalid(field, "got %d steps, expected 1 to %d", len(written), maxSteps)
	}
	steps := make([]Step, len(written))
	maker := map[string]int{} // step that makes a tensor, −1 for the request
	for _, in := range f.Proto.Input {
		maker[in.Name] = -1
	}
	for i, w := range written {
		s, err := f.step(i, w)
		if err != nil {
			return nil, err
		}
		for _, l := range s.Outputs {
			if by, twice := maker[l.Tensor]; twice {
				return nil, f.invalid(s.Path("output_map"), "tensor '%s' is made twice, here and by %s", l.Tensor, makerText(by))
			}
			maker[l.Tensor] = i
		}
		steps[i] = s
	}
	read := map[string]bool{}
	for i := range steps {
		for _, l := range steps[i].Inputs {
			if _, ok := maker[l.Tensor]; !ok {
				return nil, f.invalid(steps[i].Path("input_map"), "nothing makes tensor '%s', which input '%s' of model '%s' is mapped to", l.Tensor, l.Port, steps[i].Model)
			}
			read[l.Tensor] = true
		}
	}
	for i, in := range f.Proto.Input {
		if !read[in.Name] {
			return nil, f.invalid(fmt.Sprintf("input[%d].name", i), "no step reads input '%s'", in.Name)
		}
	}
	for i, out := range f.Proto.Output {
		if _, ok := maker[out.Name]; !ok {
			return nil, f.invalid(fmt.Sprintf("output[%d].name", i), "no step makes output '%s'", out.Name)
		}
	}
	return f.inOrder(steps, maker)
}

func makerText(step int) string {
	if step < 0 {
		return "the request"
	}
	return fmt.Sprintf("step %d", step)
}

// step reads one step as written.
func (f *File) step(i int, w *inferencepb.ModelEnsembling_Step) (Step, error) {
	s := Step{Model: w.ModelName, Version: w.ModelVersion, Place: i}
	if rest, remote := strings.CutPrefix(w.ModelName, remoteScheme); remote {
		var slash bool
		s.Address, s.Model, slash = strings.Cut(rest, "/")
		host, port, err := net.SplitHostPort(s.Address)
		if !slash || err != nil || host == "" || port == "" {
			return s, f.invalid(s.Path("model_name"), "got %q, expected grpc://host:port/model", w.ModelName)
		}
	}
	if !ValidName(s.Model) {
		return s, f.invalid(s.Path("model_name"), "got %q, expected a model's name, or grpc://host:port/model", w.ModelName)
	}
	switch {
	case w.ModelNamespace != "":
		return s, f.invalid(s.Path("model_namespace"), "got %q, expected none: model names have no namespaces here", w.ModelNamespace)
	case s.Version < -1:
		return s, f.invalid(s.Path("model_version"), "got %d, expected a version, or -1 for the newest", s.Version)
	case len(w.OutputMap) == 0:
		return s, f.invalid(s.Path("output_map"), "model '%s' has no output mapped, so nothing could use it", s.Model)
	}
	s.Version = max(s.Version, 0)
	s.Inputs, s.Outputs = links(w.InputMap), links(w.OutputMap)
	for _, l := range slices.Concat(s.Inputs, s.Outputs) {
		if l.Port == "" || l.Tensor == "" {
			return s, f.invalid(s.Path("model_name"), "a key or value of the maps of model '%s' is empty", s.Model)
		}
	}
	return s, nil
}

func links(m map[string]string) []Link {
	out := make([]Link, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, Link{Port: k, Tensor: m[k]})
	}
	return out
}

// inOrder sorts the steps so that makers come before readers, otherwise as written.
func (f *File) inOrder(steps []Step, maker map[string]int) ([]Step, error) {
	const (
		fresh = iota
		open
		done
	)
	state := make([]int, len(steps))
	out := make([]Step, 0, len(steps))
	var path []string
	var visit func(i int) error
	visit = func(i int) error {
		switch state[i] {
		case done:
			return nil
		case open:
			return f.invalid(steps[i].Path("input_map"), "the steps form a cycle: %s → %s", strings.Join(path, " → "), steps[i].Model)
		}
		state[i] = open
		path = append(path, steps[i].Model)
		for _, l := range steps[i].Inputs {
			if by := maker[l.Tensor]; by >= 0 {
				if err := visit(by); err != nil {
					return err
				}
			}
		}
		path = path[:len(path)-1]
		state[i] = done
		out = append(out, steps[i])
		return nil
	}
	for i := range steps {
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// EnsembleModel makes the model that stands for an ensemble: the ports that its
// configuration declares.
func (f *File) EnsembleModel() (*runtime.Model, error) {
	batched := f.Proto.MaxBatchSize > 0
	port := func(path, name string, d inferencepb.DataType, dims []int64) (runtime.Port, error) {
		p := runtime.Port{Name: name}
		dtype := DType(d)
		if name == "" || dtype == tensor.Invalid {
			return p, f.invalid(path+".data_type", "tensor '%s' of the ensemble needs a name and a data_type", name)
		}
		shape := []int{}
		if batched {
			shape = append(shape, -1)
		}
		for _, n := range dims {
			if n != -1 && (n < 1 || n > tensor.MaxElements) {
				return p, f.invalid(path+".dims", "tensor '%s': got %s, expected extents of 1 or more, or -1 for any", name, dimsText(dims))
			}
			shape = append(shape, int(n))
		}
		p.Type = graph.TensorType(dtype, shape...)
		return p, nil
	}
	var in, out []runtime.Port
	for i, w := range f.Proto.Input {
		p, err := port(fmt.Sprintf("input[%d]", i), w.Name, w.DataType, w.Dims)
		if err != nil {
			return nil, err
		}
		in = append(in, p)
	}
	for i, w := range f.Proto.Output {
		p, err := port(fmt.Sprintf("output[%d]", i), w.Name, w.DataType, w.Dims)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	if len(in) == 0 || len(out) == 0 {
		return nil, f.invalid("output", "got %d inputs and %d outputs, an ensemble declares at least one of each", len(in), len(out))
	}
	return runtime.Composed(in, out), nil
}
