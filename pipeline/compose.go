package pipeline

import (
	"context"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime/tensor"
)

// portType is what is known of a tensor of an ensemble.
type portType struct {
	dtype tensor.DType
	shape []int64 // nil: not known
}

// compose makes the ensemble of a configuration and checks that what its models give fits
// what they take. The models of this server must serve already.
func (p *Pipeline) compose(model string, c *config.Config) (*ensemble, error) {
	e := &ensemble{model: model, pipe: p, chain: true}
	local := true
	index, types, maker := map[string]int{}, map[string]portType{}, map[string]int{}
	at := func(name string) int {
		i, ok := index[name]
		if !ok {
			i = len(e.names)
			index[name] = i
			e.names = append(e.names, name)
		}
		return i
	}
	for _, in := range c.Inputs {
		e.inputs = append(e.inputs, at(in.Name))
		types[in.Name] = portType{in.DType, in.Shape}
	}
	for k := range c.Steps {
		w := &c.Steps[k]
		s := &step{model: w.Model, version: versionText(w.Version), stats: StepStats{Step: w.Place, Model: w.Model}}
		e.steps = append(e.steps, s)
		in, out, err := p.stepPorts(s, w)
		if err != nil {
			e.close()
			return nil, configError(c, w.Path("model_name"), err)
		}
		before := map[int]bool{}
		for _, l := range w.Inputs {
			s.in = append(s.in, bind{l.Port, at(l.Tensor)})
			if by, made := maker[l.Tensor]; made && !before[by] {
				before[by] = true
				e.steps[by].next = append(e.steps[by].next, k)
			}
			if err := connect(s.model, in, l, types[l.Tensor]); err != nil {
				e.close()
				return nil, configError(c, w.Path("input_map"), err)
			}
		}
		s.waits = len(before)
		local = local && s.remote == nil
		e.chain = e.chain && (k == 0 || before[k-1])
		if err := complete(s, in); err != nil {
			e.close()
			return nil, configError(c, w.Path("input_map"), err)
		}
		for _, l := range w.Outputs {
			s.out = append(s.out, bind{l.Port, at(l.Tensor)})
			maker[l.Tensor] = k
			t, ok := typeOf(out, l.Port)
			if !ok {
				e.close()
				return nil, configError(c, w.Path("output_map"), api.Errorf(api.CodeConfigInvalid, "model '%s' has no output '%s'", s.model, l.Port))
			}
			types[l.Tensor] = t
		}
	}
	for i, o := range c.Outputs {
		e.output = append(e.output, at(o.Name))
		if t := types[o.Name]; !agree(t, portType{o.DType, o.Shape}) {
			e.close()
			return nil, configError(c, "output", api.Errorf(api.CodeConfigInvalid, "output '%s' is declared as %s, its step gives %s", c.Outputs[i].Name, portType{o.DType, o.Shape}, t))
		}
	}
	e.alone = e.chain && local
	return e, nil
}

func configError(c *config.Config, path string, err error) error {
	return api.Errorf(api.CodeConfigInvalid, "%v: %s", c.At(path), api.Message(err))
}

// probeTime bounds the wait for another server's description of its model.
const probeTime = 2 * time.Second

// stepPorts gives the ports of a step's model; nil for one of another server that doesn't
// answer now, which then checks its requests itself.
func (p *Pipeline) stepPorts(s *step, w *config.Step) (in, out []Port, err error) {
	if w.Address != "" {
		if s.remote, err = p.remotes.dial(w.Address); err != nil {
			return nil, nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		in, out, err = s.remote.ports(ctx, s.model, s.version)
		if api.CodeOf(err) == api.CodeStepUnavailable {
			err = nil
		}
		return in, out, err
	}
	v, err := p.Resolve([]byte(s.model), []byte(s.version))
	if err != nil {
		return nil, nil, err
	}
	defer v.Done()
	if v.sequences != nil {
		return nil, nil, api.Errorf(api.CodeConfigInvalid, "model '%s' keeps state between requests, which a step can't", s.model)
	}
	return v.Inputs, v.Outputs, nil
}

// typeOf finds a port; with nil ports nothing is known and anything is there.
func typeOf(ports []Port, name string) (portType, bool) {
	if ports == nil {
		return portType{}, true
	}
	for i := range ports {
		if ports[i].Name == name {
			return portType{ports[i].DType, ports[i].Shape}, true
		}
	}
	return portType{}, false
}

// connect checks that a tensor may be given to the port that it is mapped to.
func connect(model string, in []Port, l config.Link, have portType) error {
	want, ok := typeOf(in, l.Port)
	switch {
	case !ok:
		return api.Errorf(api.CodeConfigInvalid, "model '%s' has no input '%s'", model, l.Port)
	case !agree(have, want):
		return api.Errorf(api.CodeConfigInvalid, "tensor '%s' is %s, input '%s' of model '%s' takes %s", l.Tensor, have, l.Port, model, want)
	}
	return nil
}

// complete checks that all inputs that a model needs are mapped.
func complete(s *step, in []Port) error {
	for i := range in {
		mapped := in[i].Optional
		for _, b := range s.in {
			mapped = mapped || b.port == in[i].Name
		}
		if !mapped {
			return api.Errorf(api.CodeConfigInvalid, "input '%s' of model '%s' is not mapped", in[i].Name, s.model)
		}
	}
	return nil
}

// agree reports whether a tensor of one type may be of the other, as far as is known.
func agree(a, b portType) bool {
	if a.dtype != tensor.Invalid && b.dtype != tensor.Invalid && a.dtype != b.dtype {
		return false
	}
	if a.shape == nil || b.shape == nil {
		return true
	}
	if len(a.shape) != len(b.shape) {
		return false
	}
	for i := range a.shape {
		if a.shape[i] >= 0 && b.shape[i] >= 0 && a.shape[i] != b.shape[i] {
			return false
		}
	}
	return true
}

func (t portType) String() string {
	if t.shape == nil {
		return t.dtype.V2()
	}
	return t.dtype.V2() + shapeText(t.shape)
}

// close gives the connections to other servers back.
func (e *ensemble) close() {
	for _, s := range e.steps {
		if s.remote != nil {
			s.remote.drop()
			s.remote = nil
		}
	}
}
