package hosted

import (
	"bytes"
	"context"
	"fmt"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/wait"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// waitModel hosts a trained wait.Model. A row is one patient of a planned session.
type waitModel struct {
	native.Alone
	model *wait.Model
	bytes int64
}

var waitIn = []native.Port{native.Tensor("session", tensor.Float32, -1, wait.NumFeatures)}

var waitOut = []native.Port{
	native.Tensor("wait_p50", tensor.Float32, -1),
	native.Tensor("wait_p90", tensor.Float32, -1),
	native.Tensor("wait_p95", tensor.Float32, -1),
	native.Tensor("service_interval", tensor.Float32, -1, 2),
	native.Tensor("coverage_target", tensor.Float32, -1),
}

// newWait reads the trained model from its version's folder.
func newWait(from native.Source) (native.Model, error) {
	if err := known(from); err != nil {
		return nil, err
	}
	b, err := from.Read(wait.FileName)
	if err != nil {
		return nil, fmt.Errorf("the version's folder has no %s, which `aimass train wait` writes: %w", wait.FileName, err)
	}
	m, err := wait.Load(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return &waitModel{model: m, bytes: int64(len(b))}, nil
}

func (*waitModel) Inputs() []native.Port  { return waitIn }
func (*waitModel) Outputs() []native.Port { return waitOut }

// Rowwise implements native.Rowwise.
func (*waitModel) Rowwise() bool { return true }

// WeightBytes implements native.Sizer.
func (m *waitModel) WeightBytes() int64 { return m.bytes }

// Sample implements native.Sampler.
func (*waitModel) Sample(rows int) []tensor.Value {
	t := tensor.New(tensor.Float32, tensor.Shape{rows, wait.NumFeatures})
	for i := range rows {
		tensor.Data[float32](t)[i*wait.NumFeatures+wait.FeatureN] = 1
	}
	return []tensor.Value{t}
}

// Run implements native.Model.
func (m *waitModel) Run(_ context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	b := shape(in[0])[0]
	res, err := m.model.PredictTensors(b, floats(in[0]))
	if err != nil {
		return nil, appointment.Public(err)
	}
	out := &outputs{alloc: alloc}
	put(out, tensor.Float32, res.P50, b)
	put(out, tensor.Float32, res.P90, b)
	put(out, tensor.Float32, res.P95, b)
	put(out, tensor.Float32, res.ServiceInterval, b, 2)
	put(out, tensor.Float32, res.CoverageTarget, b)
	return out.done()
}
