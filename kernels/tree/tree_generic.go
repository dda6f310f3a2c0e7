package tree

import (
	"slices"

	"github.com/aimass/aimass/kernels/pool"
)

// rowBlock is how many rows a task of the pool takes.
const rowBlock = 64

func (e *Ensemble) predictGeneric(dst, x []float32, rows, ldx, threads int) {
	f := &e.f
	blocks := (rows + rowBlock - 1) / rowBlock
	pool.Run(blocks, threads, func(b int) {
		for r := b * rowBlock; r < min(rows, (b+1)*rowBlock); r++ {
			row := x[r*ldx : r*ldx+f.Features]
			for t := range f.Targets {
				dst[r*f.Targets+t] = f.target(row, int32(t))
			}
		}
	})
}

// target is the specification of one value.
func (f *Forest) target(row []float32, target int32) float32 {
	var sum float64
	met := false
	for _, root := range f.Roots {
		leaf := &f.Nodes[f.walk(root, row)]
		for _, w := range f.Weights[leaf.First : leaf.First+leaf.Count] {
			if w.Target != target {
				continue
			}
			v := float64(w.Value)
			switch {
			case f.Aggregate == Min && met:
				sum = min(sum, v)
			case f.Aggregate == Max && met:
				sum = max(sum, v)
			default:
				sum += v
			}
			met = true
		}
	}
	if f.Aggregate == Average && len(f.Roots) > 0 {
		sum /= float64(len(f.Roots))
	}
	if f.Base != nil {
		sum += float64(f.Base[target])
	}
	return float32(sum)
}

// walk follows one tree to its leaf.
func (f *Forest) walk(i int32, row []float32) int32 {
	for {
		n := &f.Nodes[i]
		if n.Mode == Leaf {
			return i
		}
		if f.goesTrue(n, row[n.Feature]) {
			i = n.True
		} else {
			i = n.False
		}
	}
}

func (f *Forest) goesTrue(n *Node, v float32) bool {
	if v != v && n.MissingTrue {
		return true
	}
	switch n.Mode {
	case LEQ:
		return v <= n.Value
	case LT:
		return v < n.Value
	case GTE:
		return v >= n.Value
	case GT:
		return v > n.Value
	case EQ:
		return v == n.Value
	case Member:
		return slices.Contains(f.Members[n.First:n.First+n.Count], v)
	default:
		return v != n.Value
	}
}
