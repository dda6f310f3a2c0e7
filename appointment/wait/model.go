package wait

import (
	"encoding/gob"
	"fmt"
	"io"
	"math"

	"github.com/aimass/aimass/train/gbdt"
)

// Quantiler predicts quantiles of one row of features before any correction.
// It must be safe for concurrent use.
type Quantiler interface {
	// AppendQuantiles appends the wait's P50, P90 and P95 and the service time's
	// lower and upper quantile, in minutes.
	AppendQuantiles(dst []float64, row []float32) []float64
}

// numQuantiles is how many a [Quantiler] appends.
const numQuantiles = 5

// waitLevels are the levels of the three waits.
var waitLevels = [3]float64{.5, .9, .95}

// Model is a quantiler with its corrections.
type Model struct {
	Quantiles Quantiler
	// Waits correct P50, P90 and P95.
	Waits [3]Upper
	// Service corrects the service interval by visit type.
	Service Interval
}

// Prediction of one row, minutes.
type Prediction struct {
	P50, P90, P95        float64
	ServiceLo, ServiceHi float64
}

// Predict returns the corrected prediction of one row of [NumFeatures].
func (m *Model) Predict(row []float32) Prediction {
	var space [numQuantiles]float64
	q := m.Quantiles.AppendQuantiles(space[:0], row)
	var p Prediction
	p.P50 = m.Waits[0].Apply(q[0])
	p.P90 = math.Max(p.P50, m.Waits[1].Apply(q[1]))
	p.P95 = math.Max(p.P90, m.Waits[2].Apply(q[2]))
	p.ServiceLo, p.ServiceHi = m.Service.Apply(q[3], q[4], int(row[FeatureVisitType]))
	return p
}

// TensorsOut are the outputs of the model appt-wait, row-major.
type TensorsOut struct {
	// P50, P90, P95 are [B]: bounds on the wait in minutes.
	P50, P90, P95 []float32
	// ServiceInterval is [B,2]: lower and upper end in minutes.
	ServiceInterval []float32
	// CoverageTarget is [B]: the nominal coverage of ServiceInterval.
	CoverageTarget []float32
}

// PredictTensors predicts B rows of session, [B,9]. Bad rows are an
// [appointment.Error]. The outputs are fresh.
func (m *Model) PredictTensors(b int, session []float32) (*TensorsOut, error) {
	if err := checkRows(b, session); err != nil {
		return nil, err
	}
	out := &TensorsOut{}
	for i := range b {
		p := m.Predict(session[i*NumFeatures : (i+1)*NumFeatures])
		out.P50 = append(out.P50, float32(p.P50))
		out.P90 = append(out.P90, float32(p.P90))
		out.P95 = append(out.P95, float32(p.P95))
		out.ServiceInterval = append(out.ServiceInterval, float32(p.ServiceLo), float32(p.ServiceHi))
		out.CoverageTarget = append(out.CoverageTarget, float32(m.Service.Level))
	}
	return out, nil
}

// Trees is a [Quantiler] of one boosted model for each quantile.
type Trees [numQuantiles]*gbdt.Model

// AppendQuantiles implements [Quantiler].
func (t *Trees) AppendQuantiles(dst []float64, row []float32) []float64 {
	for _, m := range t {
		dst = m.AppendScores(dst, row)
	}
	return dst
}

// stored is the form of a model on disk.
type stored struct {
	Version int
	Trees   Trees
	Waits   [3]Upper
	Service Interval
}

const storedVersion = 1

// Save writes a model whose quantiler is [Trees].
func (m *Model) Save(w io.Writer) error {
	t, ok := m.Quantiles.(*Trees)
	if !ok {
		return fmt.Errorf("wait model: a quantiler of type %T can't be saved", m.Quantiles)
	}
	if err := gob.NewEncoder(w).Encode(stored{storedVersion, *t, m.Waits, m.Service}); err != nil {
		return fmt.Errorf("wait model: %w", err)
	}
	return nil
}

// Load reads what Save wrote and checks that every tree is sound.
func Load(r io.Reader) (*Model, error) {
	var s stored
	if err := gob.NewDecoder(r).Decode(&s); err != nil {
		return nil, fmt.Errorf("wait model: %w", err)
	}
	if s.Version != storedVersion {
		return nil, fmt.Errorf("wait model: version %d, this program reads %d", s.Version, storedVersion)
	}
	for k, m := range s.Trees {
		if err := checkTrees(m); err != nil {
			return nil, fmt.Errorf("wait model: quantile %d: %w", k, err)
		}
	}
	return &Model{Quantiles: &s.Trees, Waits: s.Waits, Service: s.Service}, nil
}

// checkTrees returns an error if predicting could leave a tree or not end.
func checkTrees(m *gbdt.Model) error {
	if m == nil || len(m.Base) != 1 || len(m.Features) != NumFeatures {
		return fmt.Errorf("no model of %d features and one output", NumFeatures)
	}
	for t, tree := range m.Trees {
		if len(tree.Nodes) == 0 {
			return fmt.Errorf("tree %d is empty", t)
		}
		for i, n := range tree.Nodes {
			if n.Feature < 0 {
				continue
			}
			inside := func(c int32) bool { return int(c) > i && int(c) < len(tree.Nodes) }
			if n.Feature >= NumFeatures || !inside(n.Left) || !inside(n.Right) {
				return fmt.Errorf("tree %d, node %d is damaged", t, i)
			}
		}
	}
	return nil
}
