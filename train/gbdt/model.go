package gbdt

// Node is a cut or, with Feature -1, a leaf.
type Node struct {
	// Feature is the number of the feature that is asked, or -1.
	Feature int32
	// Threshold, of a numeric feature: x <= Threshold goes left.
	Threshold float32
	// MissingLeft sends NaN of a numeric feature left; else it goes right.
	MissingLeft bool
	// Set, of a categorical feature, has bit c&63 of word c>>6 set where
	// category c goes left. All else, unknown categories too, goes right.
	Set []uint64
	// Left and Right are node numbers, greater than this node's.
	Left, Right int32
	// Value is what a leaf adds to the score.
	Value float32
	// Gain is what the cut took off the training loss, by the second-order
	// model. Rows is how many training rows came by.
	Gain float32
	Rows int32
}

// Tree is a tree by its nodes, the root first.
type Tree struct{ Nodes []Node }

// Model is a sum of trees on a base score. Do not change it while it is used.
type Model struct {
	Objective Objective
	Features  []Feature
	// Base has one entry an output.
	Base []float64
	// Trees are by round, in a round by output: tree t adds to output
	// t % len(Base).
	Trees []Tree
	// Loss is the validation loss after each round, the cut-off rounds too; nil
	// without a validation set.
	Loss []float64
}

// Outputs is the number of scores a row gets.
func (m *Model) Outputs() int { return len(m.Base) }

// Rounds is the number of rounds kept.
func (m *Model) Rounds() int { return len(m.Trees) / len(m.Base) }

// leaf follows the row down; at gives the value of a feature.
func (t *Tree) leaf(at func(f int32) float32) *Node {
	n := &t.Nodes[0]
	for n.Feature >= 0 {
		if n.left(at(n.Feature)) {
			n = &t.Nodes[n.Left]
		} else {
			n = &t.Nodes[n.Right]
		}
	}
	return n
}

func (n *Node) left(x float32) bool {
	if n.Set != nil {
		return x >= 0 && x < float32(len(n.Set)*64) && n.Set[int(x)>>6]>>(uint(x)&63)&1 == 1
	}
	return x <= n.Threshold || n.MissingLeft && x != x
}

// AppendScores appends the scores of one row, one an output: of Binary the
// log-odds, of Multiclass unnormalised log-probabilities, else the prediction
// itself. row has one value a feature.
func (m *Model) AppendScores(dst []float64, row []float32) []float64 {
	k := len(dst)
	dst = append(dst, m.Base...)
	for i := range m.Trees {
		dst[k+i%len(m.Base)] += float64(m.Trees[i].leaf(func(f int32) float32 { return row[f] }).Value)
	}
	return dst
}

// Scores gives the scores of a whole table by output, then by row. columns has
// one column a feature, all of one length.
func (m *Model) Scores(columns [][]float32) [][]float64 {
	n := 0
	if len(columns) > 0 {
		n = len(columns[0])
	}
	out := make([][]float64, len(m.Base))
	for k := range out {
		out[k] = make([]float64, n)
		for i := range out[k] {
			out[k][i] = m.Base[k]
		}
	}
	for i := range m.Trees {
		m.Trees[i].add(out[i%len(m.Base)], columns, 0, n)
	}
	return out
}

// add adds the tree's values to the scores of rows from..to-1.
func (t *Tree) add(scores []float64, columns [][]float32, from, to int) {
	for r := from; r < to; r++ {
		n := &t.Nodes[0]
		for n.Feature >= 0 {
			if n.left(columns[n.Feature][r]) {
				n = &t.Nodes[n.Left]
			} else {
				n = &t.Nodes[n.Right]
			}
		}
		scores[r] += float64(n.Value)
	}
}

// Importance is what a feature is worth to a model.
type Importance struct {
	Feature string
	// Gain is the share of all gain, 0..1; Splits the number of cuts.
	Gain   float64
	Splits int
}

// Importance tells, in the order of the features, how much each was used.
func (m *Model) Importance() []Importance {
	out := make([]Importance, len(m.Features))
	var total float64
	for i, f := range m.Features {
		out[i].Feature = f.Name
	}
	for _, t := range m.Trees {
		for _, n := range t.Nodes {
			if n.Feature >= 0 {
				out[n.Feature].Gain += float64(n.Gain)
				out[n.Feature].Splits++
				total += float64(n.Gain)
			}
		}
	}
	if total > 0 {
		for i := range out {
			out[i].Gain /= total
		}
	}
	return out
}

// Average joins models of one schema and objective into one whose scores are
// the mean of theirs. It panics where they do not fit.
func Average(models ...*Model) *Model {
	first := models[0]
	out := &Model{Objective: first.Objective, Features: first.Features, Base: make([]float64, len(first.Base))}
	share := 1 / float64(len(models))
	for _, m := range models {
		if m.Objective != first.Objective || len(m.Base) != len(first.Base) || len(m.Features) != len(first.Features) {
			panic("BUG: gbdt: averaging models of different kinds")
		}
		for k, b := range m.Base {
			out.Base[k] += b * share
		}
		for _, t := range m.Trees {
			nodes := make([]Node, len(t.Nodes))
			copy(nodes, t.Nodes)
			for i := range nodes {
				nodes[i].Value = float32(float64(nodes[i].Value) * share)
			}
			out.Trees = append(out.Trees, Tree{nodes})
		}
	}
	return out
}
