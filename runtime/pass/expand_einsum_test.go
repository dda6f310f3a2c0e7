package pass_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestEinsumMeansTheSame compares products between transpositions with the operator itself.
func TestEinsumMeansTheSame(t *testing.T) {
	for _, equation := range []string{
		"ij,jk->ik", "ibh,hnd->ibnd", "ibnd,jbnd->bnij", "ijbn->bnij", "ibnd,hnd->ibh", "bhid,bhjd->bhij", "bhij,bhjd->bihd", "i,j->ij", "i,i->", "ij->", "ij,ij->i",
		"ij,jk,kl->il", "b...i,b...j->...ij", "bi,oi->bo", "abc,abd->dc", "abx,bcy->ac", "ij , jk", "ibnd,snd->ibns",
	} {
		for seed := range uint64(12) {
			r := &trial{Rand: rand.New(rand.NewPCG(seed, 5)), data: map[*graph.Value]tensor.Value{}}
			r.half = []tensor.DType{tensor.Float32, tensor.Float32, tensor.Float16}[r.IntN(3)]
			r.open = r.maybe()
			size := map[rune]int{}
			var in []*graph.Value
			left, _, _ := strings.Cut(equation, "->")
			for _, term := range strings.Split(strings.ReplaceAll(left, " ", ""), ",") {
				var shape []int
				for _, l := range strings.ReplaceAll(term, "...", "XY") {
					if size[l] == 0 {
						size[l] = 1 + r.IntN(5)
					}
					shape = append(shape, size[l])
				}
				in = append(in, r.floats(len(in) > 0 && r.maybe(), shape...))
			}
			r.g.Out = r.op("Einsum", graph.Attrs{"equation": graph.StrAttr(equation)}, 1, in...)
			want := evaluate(t, &r.g, r.data)[0]
			named(t, "expand", registry)(&r.g)
			for _, n := range r.g.Nodes {
				if n.Op == "Einsum" && !r.open {
					t.Errorf("%s is left", equation)
				}
			}
			if err := near(evaluate(t, &r.g, r.data)[0], want, true); err != nil {
				t.Errorf("%s, seed %d: %v", equation, seed, err)
			}
		}
	}
}

// TestEinsumLeaves leaves diagonals, labels that are repeated, integers and unknown ranks to the operator.
func TestEinsumLeaves(t *testing.T) {
	for name, make := range map[string]func(r *trial) (string, []*graph.Value){
		"diagonal": func(r *trial) (string, []*graph.Value) { return "ii->i", []*graph.Value{r.floats(false, 3, 3)} },
		"repeated": func(r *trial) (string, []*graph.Value) {
			return "ij,ij->i", []*graph.Value{r.floats(false, 3, 1), r.floats(false, 3, 4)}
		},
		"integers": func(r *trial) (string, []*graph.Value) {
			return "ij->ji", []*graph.Value{r.below(3, false, tensor.Int64, 3, 4)}
		},
		"unknown rank": func(r *trial) (string, []*graph.Value) {
			x := r.floats(false, 3, 3)
			x.Type.Ranked = false
			return "ij->ji", []*graph.Value{x}
		},
	} {
		r := &trial{Rand: rand.New(rand.NewPCG(1, 5)), data: map[*graph.Value]tensor.Value{}, half: tensor.Float32}
		equation, in := make(r)
		r.g.Out = r.op("Einsum", graph.Attrs{"equation": graph.StrAttr(equation)}, 1, in...)
		named(t, "expand", registry)(&r.g)
		if len(r.g.Nodes) != 1 {
			t.Errorf("%s: %d nodes", name, len(r.g.Nodes))
		}
	}
}
