package releases

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strconv"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/pipeline/gate"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/wire"
)

// HoldoutName is the file beside a model's versions whose rows every promotion must pass.
const HoldoutName = "holdout.json"

// Gate is a held-out set and what to measure on it, as in the body of a promotion or in
// the file HoldoutName.
type Gate struct {
	// Inputs are tensors as in an inference request.
	Inputs     json.RawMessage `json:"inputs"`
	Labels     []float64       `json:"labels"`
	Metric     string          `json:"metric"`
	Output     string          `json:"output"`
	Margin     *float64        `json:"margin"`
	Confidence float64         `json:"confidence"`
	Rounds     int             `json:"rounds"`
}

// gate measures a candidate against what serves; nil where there is no held-out set.
func (r *Releases) gate(ctx context.Context, model string, stable, candidate int64, g *Gate) (*gate.Result, error) {
	if g == nil {
		b, err := r.repo.File(model, 0, HoldoutName)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, api.Wrap(api.CodeStorageFailed, err, "the held-out set %s can't be read", HoldoutName)
		}
		g = &Gate{}
		if err := json.Unmarshal(b, g); err != nil {
			return nil, api.Wrap(api.CodeGateInvalid, err, "the held-out set %s is not valid JSON of a gate", HoldoutName)
		}
	}
	set := &gate.Set{Labels: g.Labels}
	var err error
	if set.Inputs, err = heldOut(g.Inputs); err != nil {
		return nil, err
	}
	a, err := r.hold(model, stable)
	if err != nil {
		return nil, err
	}
	defer a.Done()
	b, err := r.hold(model, candidate)
	if err != nil {
		return nil, err
	}
	defer b.Done()
	return gate.Run(ctx, a, b, set, gate.Config{Metric: g.Metric, Output: g.Output, Margin: g.Margin, Confidence: g.Confidence, Rounds: g.Rounds})
}

func (r *Releases) hold(model string, version int64) (*pipeline.Served, error) {
	return r.pipe.Resolve([]byte(model), strconv.AppendInt(nil, version, 10))
}

// heldOut reads tensors in the protocol's JSON.
func heldOut(inputs json.RawMessage) (map[string]*tensor.Tensor, error) {
	if len(inputs) == 0 {
		return nil, api.Errorf(api.CodeGateInvalid, "the gate has no inputs")
	}
	var q wire.Request
	if err := q.Parse([]byte(`{"inputs":`+string(inputs)+`}`), -1, anyTensor{}); err != nil {
		return nil, api.Errorf(api.CodeGateInvalid, "the held-out set: %s", api.Message(err))
	}
	out := map[string]*tensor.Tensor{}
	for i := range q.Inputs {
		in := &q.Inputs[i]
		t := &tensor.Tensor{}
		if in.DType == tensor.String {
			t.ViewStrings(in.Shape, in.Strings)
		} else {
			t.View(in.DType, in.Shape, in.Data)
		}
		out[string(in.Name)] = t
	}
	return out, nil
}

// anyTensor is a Sink that takes every tensor; the versions check them.
type anyTensor struct{}

func (anyTensor) Model() string                      { return "" }
func (anyTensor) Check(*wire.Input) error            { return nil }
func (anyTensor) Buffer(_ *wire.Input, n int) []byte { return tensor.Aligned(n) }
