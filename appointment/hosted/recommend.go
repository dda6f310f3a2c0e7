package hosted

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/recommend"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// recommendModel hosts recommend.Clinic.Rank. A row is one patient's need.
type recommendModel struct {
	clinic *recommend.Clinic
	models *served
	bytes  int64
}

var recommendIn = []native.Port{
	native.Tensor("patient", tensor.String, -1),
	native.Tensor("need", tensor.String, -1),
	native.Tensor("text", tensor.String, -1),
	native.Tensor("earliest", tensor.String, -1),
	native.Tensor("urgency", tensor.Float32, -1),
	native.Tensor("diary", tensor.String, -1),
}

var recommendOut = []native.Port{
	native.Tensor("doctor", tensor.String, -1, recommend.K),
	native.Tensor("start", tensor.String, -1, recommend.K),
	native.Tensor("reason", tensor.String, -1, recommend.K),
	native.Tensor("p_noshow", tensor.Float32, -1, recommend.K),
	native.Tensor("wait_p90", tensor.Float32, -1, recommend.K),
}

// The parameters of recommend's configuration: the models that it asks.
const (
	paramNoShow = "noshow_model"
	paramWait   = "wait_model"
	paramAssign = "assign_model"
	paramText   = "text_model"
)

// newRecommend reads the clinic from its version's folder.
func newRecommend(from native.Source, call native.Caller) (native.Model, error) {
	if err := known(from, paramNoShow, paramWait, paramAssign, paramText); err != nil {
		return nil, err
	}
	b, err := from.Read(recommend.FileName)
	if err != nil {
		return nil, fmt.Errorf("the version's folder has no %s: %w", recommend.FileName, err)
	}
	clinic, err := recommend.Read(b)
	if err != nil {
		return nil, err
	}
	name := func(param, def string) string {
		if s := from.Params[param]; s != "" {
			return s
		}
		return def
	}
	m := &served{
		beside: from.Beside, call: call, noShow: name(paramNoShow, "appt-noshow"), wait: name(paramWait, Wait), assign: name(paramAssign, Assign),
		text: name(paramText, "all-minilm-l6-v2"),
	}
	return &recommendModel{clinic, m, int64(len(b))}, nil
}

func (*recommendModel) Inputs() []native.Port  { return recommendIn }
func (*recommendModel) Outputs() []native.Port { return recommendOut }

// Rowwise implements native.Rowwise.
func (*recommendModel) Rowwise() bool { return true }

// Asks implements native.Asker.
func (m *recommendModel) Asks() []string {
	return []string{m.models.noShow, m.models.wait, m.models.assign, m.models.text}
}

// WeightBytes implements native.Sizer.
func (m *recommendModel) WeightBytes() int64 { return m.bytes }

// Run implements native.Model.
func (m *recommendModel) Run(ctx context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	b := shape(in[0])[0]
	if b == 0 {
		return nil, appointment.Public(appointment.Errorf(appointment.CodeEmptyBatch, "patient", "0 rows"))
	}
	one := tensor.Shape{b}
	if err := fits(recommendIn, in, one, one, one, one, one, one); err != nil {
		return nil, appointment.Public(err)
	}
	const k = recommend.K
	doctor, start, reason := make([]string, b*k), make([]string, b*k), make([]string, b*k)
	noShow, waits := make([]float32, b*k), make([]float32, b*k)
	for i := range b {
		r := recommend.Request{Patient: texts(in[0])[i], Need: texts(in[1])[i], Text: texts(in[2])[i], Earliest: texts(in[3])[i], Urgency: floats(in[4])[i],
			Diary: texts(in[5])[i]}
		list, err := m.clinic.Rank(ctx, m.models, r)
		if err != nil {
			return nil, appointment.Public(fmt.Errorf("row %d: %w", i, err))
		}
		for j := range k {
			at := i*k + j
			if j >= len(list) {
				noShow[at], waits[at] = float32(math.NaN()), float32(math.NaN())
				continue
			}
			c := list[j]
			doctor[at], start[at], reason[at] = c.Doctor, c.Start.Format(time.RFC3339), c.Reason
			noShow[at], waits[at] = c.NoShow, c.WaitP90
		}
	}
	out := &outputs{alloc: alloc}
	putTexts(out, doctor, b, k)
	putTexts(out, start, b, k)
	putTexts(out, reason, b, k)
	put(out, tensor.Float32, noShow, b, k)
	put(out, tensor.Float32, waits, b, k)
	return out.done()
}
