package tabular

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/train/gbdt"
)

// opset is the version of the standard operators that the graphs use.
const opset = 17

// inputs names what a model's graph works on.
type inputs struct {
	// numeric is FLOAT [N, k], "" if there is none; codes are INT64 [N], one a categorical
	// feature, −1 for what is missing or unknown.
	numeric string
	codes   []string
}

// export writes the model as an ONNX file. The same model gives the same bytes.
func (p *problem) export(name string, m predictor, half float64, o *outliers) ([]byte, error) {
	g := build.New(name, opset)
	g.Doc = fmt.Sprintf("%s of %s", p.task, p.columns.Target)
	g.Metadata = map[string]string{"task": p.task, "target": p.columns.Target}
	if p.classes != nil {
		js, err := json.Marshal(p.classes)
		if err != nil {
			return nil, err
		}
		g.Metadata["classes"] = string(js)
	}
	in := p.appendInputs(g)
	scores, err := m.append(g, in)
	if err != nil {
		return nil, err
	}
	switch p.task {
	case Binary, Multiclass:
		p.appendClasses(g, scores)
	default:
		axis := g.Const(g.Fresh("axis"), []int64{1}, 1)
		g.OpAs("prediction", "Squeeze", []string{scores, axis})
		g.Output("prediction", build.Float, build.Sym("N"))
	}
	if half > 0 {
		ends := g.Const(g.Fresh("interval_half"), []float32{float32(-half), float32(half)}, 1, 2)
		g.OpAs("interval", "Add", []string{scores, ends})
		g.Output("interval", build.Float, build.Sym("N"), build.Size(2))
		g.Metadata["interval"] = fmt.Sprintf("split conformal, %g", p.level)
	}
	if o != nil {
		o.append(g, in)
	}
	return g.Encode()
}

// appendInputs declares the inputs and looks categories up.
func (p *problem) appendInputs(g *build.Graph) *inputs {
	in := &inputs{}
	if n := int64(len(p.numeric)); n > 0 {
		in.numeric = g.Input(numericInput, build.Float, build.Sym("N"), build.Size(n))
	}
	if len(p.categorical) == 0 {
		return in
	}
	texts := g.Input(categoricalInput, build.String, build.Sym("N"), build.Size(int64(len(p.categorical))))
	g.Opsets[gbdt.MLDomain] = gbdt.MLVersion
	for j, names := range p.categories {
		at := g.Const(g.Fresh("column"), []int64{int64(j)})
		column := g.Op("Gather", []string{texts, at}, build.I("axis", 1))
		places := make([]int64, len(names))
		for k := range places {
			places[k] = int64(k)
		}
		code := g.Fresh("code")
		g.Add(build.Node{Domain: gbdt.MLDomain, Op: "LabelEncoder", Inputs: []string{column}, Outputs: []string{code},
			Attrs: []build.Attr{build.Ss("keys_strings", names...), build.Is("values_int64s", places...), build.I("default_int64", -1)}})
		in.codes = append(in.codes, code)
	}
	return in
}

// appendClasses makes probabilities FLOAT [N, classes] and label, INT64 [N] where all classes
// are whole numbers, else STRING [N].
func (p *problem) appendClasses(g *build.Graph, scores string) {
	if p.task == Binary {
		yes := g.Op("Sigmoid", []string{scores})
		no := g.Op("Sub", []string{g.Const(g.Fresh("one"), []float32{1}, 1, 1), yes})
		g.OpAs("probabilities", "Concat", []string{no, yes}, build.I("axis", 1))
	} else {
		g.OpAs("probabilities", "Softmax", []string{scores}, build.I("axis", 1))
	}
	best := g.Op("ArgMax", []string{"probabilities"}, build.I("axis", 1), build.I("keepdims", 0))
	labelType := build.Int64
	var names any = p.classes
	whole := make([]int64, len(p.classes))
	for k, c := range p.classes {
		n, err := strconv.ParseInt(c, 10, 64)
		if err != nil {
			labelType = build.String
			break
		}
		whole[k] = n
	}
	if labelType == build.Int64 {
		names = whole
	}
	list := g.Const(g.Fresh("classes"), names, int64(len(p.classes)))
	g.OpAs("label", "Gather", []string{list, best}, build.I("axis", 0))
	g.Output("label", labelType, build.Sym("N"))
	g.Output("probabilities", build.Float, build.Sym("N"), build.Size(int64(len(p.classes))))
}
