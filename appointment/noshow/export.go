package noshow

import (
	"encoding/json"
	"math"
	"strings"

	"github.com/aimass/aimass/runtime/onnx/build"
)

// ModelName is the folder that versions are written to: for Booking the name
// that servers know the model by.
func ModelName(m Moment) string {
	if m == DayOf {
		return "appt-noshow-day"
	}
	return "appt-noshow"
}

// opset is the version of the standard operators that the graph uses.
const opset = 17

// Encode writes the model as an ONNX file: inputs numeric FLOAT [N, 17] (18 on
// the day) and neighbourhood INT64 [N]; outputs p_noshow FLOAT [N], p_interval
// FLOAT [N, 2] and risk_band INT32 [N]. See Predict for what they mean. Rows
// are independent of each other. The same model gives the same bytes.
func (m *Model) Encode() ([]byte, error) {
	g := build.New(ModelName(m.Moment), opset)
	names := FeatureNames(m.Moment)
	g.Doc = "Probability that a patient does not show up for an appointment."
	places, err := json.Marshal(m.Places)
	if err != nil {
		return nil, err
	}
	g.Metadata = map[string]string{
		"features":       strings.Join(names, ","),
		"neighbourhoods": string(places),
		"moment":         m.Moment.String(),
	}
	numeric := g.Input("numeric", build.Float, build.Sym("N"), build.Size(int64(len(names))))
	place := g.Input("neighbourhood", build.Int64, build.Sym("N"))
	score, err := m.Trees.AppendONNX(g, numeric, []string{place})
	if err != nil {
		return nil, err
	}
	slope := g.Const("platt_slope", []float32{float32(m.Platt.Slope)}, 1)
	intercept := g.Const("platt_intercept", []float32{float32(m.Platt.Intercept)}, 1)
	z := g.Op("Add", []string{g.Op("Mul", []string{score, slope}), intercept})
	p := g.Op("Sigmoid", []string{z})
	axis := g.Const("axis_1", []int64{1}, 1)
	g.OpAs("p_noshow", "Squeeze", []string{p, axis})
	m.appendInterval(g, p, axis)
	bars := g.Const("band_bars", []float32{float32(m.Medium), float32(m.High)}, 1, 2)
	countAtLeast(g, "risk_band", p, bars, axis, build.Int32)
	g.Output("p_noshow", build.Float, build.Sym("N"))
	g.Output("p_interval", build.Float, build.Sym("N"), build.Size(2))
	g.Output("risk_band", build.Int32, build.Sym("N"))
	return g.Encode()
}

// appendInterval adds p_interval: the Wilson interval of p's calibration bin,
// widened to hold p. The low ends are kept negated, so that one Max widens both
// ends.
func (m *Model) appendInterval(g *build.Graph, p, axis string) {
	table := make([]float32, 0, 2*len(m.Ranges))
	for _, r := range m.Ranges {
		table = append(table, float32(-r.Low), float32(r.High))
	}
	ranges := g.Const("calibration_ranges", table, int64(len(m.Ranges)), 2)
	sign := g.Const("interval_sign", []float32{-1, 1}, 1, 2)
	cuts := m.innerCuts()
	bars := g.Const("calibration_cuts", cuts, 1, int64(len(cuts)))
	bin := countAtLeast(g, g.Fresh("bin"), p, bars, axis, build.Int64)
	r := g.Op("Gather", []string{ranges, bin}, build.I("axis", 0))
	wide := g.Op("Max", []string{r, g.Op("Mul", []string{p, sign})})
	g.OpAs("p_interval", "Mul", []string{wide, sign})
}

// innerCuts are the cuts between the first bin and the last; where there is one
// bin alone, a cut that no row reaches.
func (m *Model) innerCuts() []float32 {
	if len(m.Cuts) <= 2 {
		return []float32{float32(math.Inf(1))}
	}
	var inner []float32
	for i := 1; i < len(m.Cuts)-1; i++ {
		inner = append(inner, float32(m.Cuts[i]))
	}
	return inner
}

// countAtLeast adds, by the name of output, how many of the bars [1, k] each
// row of p [N, 1] reaches, as a value [N] of type t.
func countAtLeast(g *build.Graph, output, p, bars, axis string, t build.DType) string {
	reached := g.Op("Cast", []string{g.Op("GreaterOrEqual", []string{p, bars})}, build.I("to", int64(t)))
	return g.OpAs(output, "ReduceSum", []string{reached, axis}, build.I("keepdims", 0))
}
