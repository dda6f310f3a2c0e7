//go:build amd64 && cgo && !noasm

package tree

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo LDFLAGS: -lm
// #cgo noescape aimass_tree
// #cgo nocallback aimass_tree
// #include "tree.h"
import "C"

import (
	"math"
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

const (
	// maxTargets is MAX_TARGETS of tree_amd64.c.
	maxTargets = 64
	maxIndex   = math.MaxUint16
)

// native is the forest as tree.h describes it.
type native struct {
	*columns
	nodes   []C.struct_tree_node
	start   []int32
	depth   []int32
	leaf    []int32
	counts  []int32
	targets []int32
	weights []float32
	single  bool
	own     []int32 // target of each tree, where leaves have one weight, all for the same
	tops    []C.struct_tree_top
	lanes   int
}

// compile gives nil for a forest that the flat form can't hold: too many nodes
// in a tree, columns or targets, or aggregates other than sums. Such a forest runs on
// the generic twin.
func compile(level isa.Level, f *Forest) *native {
	if f.Targets > maxTargets || f.Aggregate > Average {
		return nil
	}
	c, tests, ok := newColumns(f)
	if !ok {
		return nil
	}
	n := &native{columns: c, single: true}
	for _, w := range f.Weights {
		n.targets = append(n.targets, w.Target)
		n.weights = append(n.weights, w.Value)
	}
	for _, root := range f.Roots {
		if !n.addTree(f, tests, root) {
			return nil
		}
	}
	if n.single {
		for i, c := range n.counts {
			if c == 1 {
				n.leaf[i] = int32(math.Float32bits(n.weights[n.leaf[i]]))
			}
		}
		n.targets = n.own
	}
	n.addTops(level)
	return n
}

// addTops makes the form in which rows step together.
func (n *native) addTops(level isa.Level) {
	n.lanes = 8
	levels := int32(6)
	if level == isa.AVX512 {
		n.lanes = 16
	}
	n.tops = make([]C.struct_tree_top, len(n.start))
	for t, start := range n.start {
		top := &n.tops[t]
		own := min(levels, n.depth[t])
		top.levels, top.rest, top.target = C.int32_t(own), C.int32_t(n.depth[t]-own), C.int32_t(n.own[t])
		n.addTop(top, 1, start, 1<<own)
	}
}

// addTop puts the flat form's node at into place i and what is below it into the places
// below; places from below on are those behind the levels. A leaf that comes early sends
// every row on to its left.
func (n *native) addTop(top *C.struct_tree_top, i int, at int32, below int) {
	node := &n.nodes[at]
	if i >= below {
		top.node[i%len(top.node)] = C.int32_t(at)
		top.leaf[i%len(top.leaf)] = C.int32_t(n.leaf[at])
		return
	}
	top.limit[i], top.column[i] = node.limit, C.int32_t(int(node.column)*n.lanes)
	yes := at + int32(node.next)
	no := yes + 1
	if node.next == 0 {
		no = yes
	}
	n.addTop(top, 2*i, yes, below)
	n.addTop(top, 2*i+1, no, below)
}

func (n *native) bytes() int {
	return n.columns.bytes() + 16*len(n.nodes) + 8*len(n.weights) + 12*len(n.start) + len(n.tops)*int(unsafe.Sizeof(C.struct_tree_top{}))
}

// addTree lays one tree out breadth first, children side by side.
func (n *native) addTree(f *Forest, tests []test, root int32) bool {
	start := len(n.nodes)
	n.start = append(n.start, int32(start))
	queue, level := []int32{root}, []int32{0}
	own := int32(-1)
	for at := 0; at < len(queue); at++ {
		src := &f.Nodes[queue[at]]
		if src.Mode == Leaf {
			n.add(float32(math.Inf(1)), 0, 0, src.First, src.Count)
			if n.single = n.single && src.Count == 1; n.single {
				target := f.Weights[src.First].Target
				n.single = own < 0 || own == target
				own = target
			}
			continue
		}
		next := len(queue) - at
		if next > maxIndex {
			return false
		}
		yes, no := src.True, src.False
		test := tests[queue[at]]
		if test.swap {
			yes, no = no, yes
		}
		n.add(test.limit, test.column, next, 0, 0)
		queue = append(queue, yes, no)
		level = append(level, level[at]+1, level[at]+1)
	}
	n.depth = append(n.depth, level[len(level)-1])
	n.own = append(n.own, own)
	return true
}

func (n *native) add(limit float32, column int32, next int, first, count int32) {
	n.nodes = append(n.nodes, C.struct_tree_node{limit: C.int32_t(key(limit)), column: C.uint16_t(column), next: C.uint16_t(next)})
	n.leaf = append(n.leaf, first)
	n.counts = append(n.counts, count)
}

func (e *Ensemble) predictNative(dst, x []float32, rows, ldx, threads int) {
	n, f := e.native, &e.f
	t := C.struct_tree_task{rows: C.int64_t(rows), ldx: C.int64_t(ldx), trees: C.int64_t(len(n.start)), targets: C.int64_t(f.Targets),
		columns: C.int64_t(n.columns.count()), numeric: C.int64_t(len(n.features)), tables: C.int64_t(len(n.tables)),
		threads: C.int32_t(pool.Threads(threads)), lanes: C.int32_t(n.lanes), divisor: 1}
	if n.single {
		t.single = 1
	}
	if n.plain() {
		t.plain = 1
	}
	if f.Aggregate == Average && len(f.Roots) > 0 {
		t.divisor = C.double(len(f.Roots))
	}
	C.aimass_tree(&t, iptr(n.features), iptr(n.missing), unsafe.SliceData(n.columns.tables), iptr(n.members), fptr(n.cells),
		unsafe.SliceData(n.nodes), iptr(n.start), iptr(n.depth), iptr(n.leaf), iptr(n.counts), iptr(n.targets),
		fptr(n.weights), fptr(f.Base), unsafe.SliceData(n.tops), fptr(x), fptr(dst))
}

func fptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func iptr(x []int32) *C.int32_t { return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(x))) }
