package cpu_test

import (
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
)

// TestLoweredEinsum holds products of two operands to Eval: labels in any order, none of a kind, extents of 1.
func TestLoweredEinsum(t *testing.T) {
	seeds(t, 120, func(t *testing.T, b *builder) {
		equation := one(b, "ij,jk->ik", "ibh,hnd->ibnd", "binh,tnh->bnit", "bind,snd->bnis", "td,dnh->tnh", "bind,bjnd->bnij", "bnij,bjnd->bind", "i,j->ij", "i,i->", "ij,ij->i",
			"abc,abd->dc", "abx,bcy->ac", "b...i,b...j->...ij", "bhwc,hkc->bhwk", "ab,cd->dbca")
		size := map[rune]int{}
		var in []*graph.Value
		left, _, _ := strings.Cut(equation, "->")
		for _, term := range strings.Split(left, ",") {
			var shape []int
			for _, l := range strings.ReplaceAll(term, "...", "XY") {
				if size[l] == 0 {
					size[l] = one(b, 1, 2, 3, 17)
				}
				shape = append(shape, size[l])
			}
			in = append(in, b.input(b.floats(shape...)))
		}
		b.output(b.node("Einsum", attrs{"equation": graph.StrAttr(equation)}, in...))
		lowered := b.check(t, tolerance{1e-4, 1e-3})
		if equation != "abx,bcy->ac" { // sums of one operand alone
			mustLower(t, lowered)
		}
	})
}
