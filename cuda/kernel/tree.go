package kernel

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/aimass/aimass/cuda"
)

// TreeMode is the test of a node, numbered as in kernels/tree.
type TreeMode uint8

// The tests: x Mode Value goes to True.
const (
	TreeLEQ TreeMode = iota
	TreeLT
	TreeGTE
	TreeGT
	TreeEQ
	TreeNEQ
	TreeLeaf
)

// TreeNode is a node of a forest; see kernels/tree.Node, whose fields and meaning it has.
type TreeNode struct {
	Feature      int32
	Mode         TreeMode
	MissingTrue  bool
	Value        float32
	True, False  int32
	First, Count int32 // of a leaf's weights
}

// TreeWeight is what a leaf adds to one target.
type TreeWeight struct {
	Target int32
	Value  float32
}

// TreeAggregate says how the trees' weights become one value a target.
type TreeAggregate int

// The aggregates. A target that no leaf names gives 0 before its base value.
const (
	TreeSum TreeAggregate = iota
	TreeAverage
	TreeMin
	TreeMax
)

// PackTrees gives the bytes of Trees.Nodes and Trees.Weights, to be uploaded once.
func PackTrees(nodes []TreeNode, weights []TreeWeight, targets int) (n, w []byte, err error) {
	if len(nodes) > maxIndex || len(weights) > maxIndex {
		return nil, nil, limit("a forest of %d nodes and %d weights", len(nodes), len(weights))
	}
	for i := range nodes {
		t := &nodes[i]
		kind, yes, no := uint32(t.Mode)|uint32(t.Feature)<<4, t.True, t.False
		if t.Feature < 0 || t.Feature >= 1<<28 {
			return nil, nil, limit("feature %d of node %d", t.Feature, i)
		}
		flag := t.MissingTrue
		if t.Mode == TreeLeaf {
			if t.First < 0 || t.Count < 0 || int(t.First)+int(t.Count) > len(weights) {
				return nil, nil, fmt.Errorf("kernel: leaf %d has weights %d+%d of %d", i, t.First, t.Count, len(weights))
			}
			yes, no = t.First, t.Count
			flag = int(t.Count) == targets
			for k := range t.Count {
				flag = flag && weights[t.First+k].Target == k
			}
		}
		if flag {
			kind |= 8
		}
		n = binary.LittleEndian.AppendUint32(n, kind)
		n = binary.LittleEndian.AppendUint32(n, math.Float32bits(t.Value))
		n = binary.LittleEndian.AppendUint32(n, uint32(yes))
		n = binary.LittleEndian.AppendUint32(n, uint32(no))
	}
	for _, v := range weights {
		w = binary.LittleEndian.AppendUint32(w, uint32(v.Target))
		w = binary.LittleEndian.AppendUint32(w, math.Float32bits(v.Value))
	}
	return n, w, nil
}

// Trees sets Rows×Targets float32 at Y from Rows rows of features at X with stride LDX.
// Nodes, Weights (PackTrees), Roots (int32, the root node of each tree) and Base (float32 a
// target, or 0) lie on the device. Sums are taken in float64 and rounded once. The caller
// adds post transforms.
type Trees struct {
	Nodes, Weights, Roots, Base cuda.Ptr
	X, Y                        cuda.Ptr
	Rows, Trees, Targets        int
	LDX                         int64
	Aggregate                   TreeAggregate
	Scratch                     cuda.Ptr // Workspace() bytes
}

// treeScratch bounds the workspace; more rows are done in turns.
const treeScratch = 64 << 20

func (t *Trees) step() int {
	most := treeScratch / 4 / max(t.Trees, 1)
	return min(t.Rows, max(most, 1))
}

// Workspace is how many bytes Scratch needs.
func (t Trees) Workspace() int64 { return int64(t.step()) * int64(t.Trees) * 4 }

// AppendTrees appends the Launches of t.
func AppendTrees(dst []cuda.Launch, t Trees) ([]cuda.Launch, error) {
	if t.Rows < 0 || t.Trees < 0 || t.Targets < 0 || t.Rows > maxIndex || t.Trees > 16*maxGrid || t.Targets > maxIndex || t.LDX < 0 {
		return dst, limit("%d trees of %d targets over %d rows", t.Trees, t.Targets, t.Rows)
	}
	if t.Rows == 0 || t.Targets == 0 {
		return dst, nil
	}
	step := t.step()
	if ceilDiv(int64(step)*int64(t.Targets), 8) > maxGridX {
		return dst, limit("%d trees of %d targets over %d rows", t.Trees, t.Targets, t.Rows)
	}
	for at := 0; at < t.Rows; at += step {
		rows := min(step, t.Rows-at)
		x := t.X + cuda.Ptr(4*int64(at)*t.LDX)
		y := t.Y + cuda.Ptr(4*int64(at)*int64(t.Targets))
		if t.Trees > 0 {
			// Threads of a warp share a tree where rows are many: the nodes near its root
			// are then read once.
			across := 1
			for across < 128 && across < rows {
				across *= 2
			}
			// At least 16 trees a block keep the second extent of the grid within bounds.
			if t.Trees > maxGrid {
				across = min(across, 8)
			}
			l := launch("tree", "tree_leaves", ceilDiv(int64(rows), int64(across)), 128, t.Nodes, t.Roots, x, t.Scratch, rows, t.Trees, t.LDX, across)
			l.Grid.Y = uint32(ceilDiv(int64(t.Trees), int64(128/across)))
			dst = append(dst, l)
		}
		dst = append(dst, launch("tree", "tree_sum", ceilDiv(int64(rows)*int64(t.Targets), 8), threads,
			t.Nodes, t.Weights, t.Scratch, t.Base, y, rows, t.Trees, t.Targets, int(t.Aggregate)))
	}
	return dst, nil
}
