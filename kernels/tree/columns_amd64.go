//go:build amd64 && cgo && !noasm

package tree

// #include "tree.h"
import "C"

import (
	"cmp"
	"math"
	"slices"
)

const (
	// maxColumns bounds what a row of columns takes.
	maxColumns = 4096
	maxCells   = 1 << 20
)

// test is how the native form asks what a node asks: is the column's value at most
// limit? Then the walk goes left, to True, or to False with swap.
type test struct {
	column int32
	limit  float32
	swap   bool
}

// set is a column that is 0, to the left, or 1: 0 for the members, and for any other
// value and for NaN what other and nan say.
type set struct {
	feature    int32
	other, nan float32
	members    []float32 // sorted, none twice
}

// columns are what the nodes of a forest test.
type columns struct {
	features []int32 // of the numeric columns
	missing  []int32 // what they hold for NaN
	tables   []C.struct_tree_table
	members  []int32 // keys of the members of each table, sorted
	cells    []float32
}

func (c *columns) count() int {
	n := len(c.features)
	for _, t := range c.tables {
		n += int(t.columns)
	}
	return n
}

// plain reports that column i is feature i.
func (c *columns) plain() bool {
	for i, f := range c.features {
		if int(f) != i {
			return false
		}
	}
	return len(c.tables) == 0
}

func (c *columns) bytes() int {
	return 8*len(c.features) + 4*len(c.members) + 4*len(c.cells)
}

// newColumns gives each inner node its test; not ok if there were too many columns. A
// numeric column holds a feature, and where that is NaN an infinity, so that a NaN goes where
// its nodes send it: a feature has up to two.
func newColumns(f *Forest) (*columns, []test, bool) {
	tests := make([]test, len(f.Nodes))
	number := make([]int32, 2*f.Features) // of each feature with NaN to the left, and to the right
	var sets []set
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Mode == Leaf {
			continue
		}
		if s, swap, ok := f.setOf(n); ok {
			tests[i].swap = swap
			sets = append(sets, s)
			continue
		}
		limit, swap := n.canonical()
		tests[i] = test{column: 2 * n.Feature, limit: limit, swap: swap}
		if n.MissingTrue == swap {
			tests[i].column++
		}
		number[tests[i].column] = 1
	}
	c := &columns{}
	missing := [2]int32{key(float32(math.Inf(-1))), key(float32(math.Inf(1)))}
	for i, used := range number {
		if number[i] = int32(len(c.features)); used > 0 {
			c.features = append(c.features, int32(i/2))
			c.missing = append(c.missing, missing[i%2])
		}
	}
	slices.SortFunc(sets, compareSets)
	sets = slices.CompactFunc(sets, func(a, b set) bool { return compareSets(a, b) == 0 })
	if len(c.features)+len(sets) > maxColumns {
		return nil, nil, false
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Mode == Leaf {
			continue
		}
		if s, _, ok := f.setOf(n); ok {
			at, _ := slices.BinarySearchFunc(sets, s, compareSets)
			tests[i].column = int32(len(c.features) + at)
		} else {
			tests[i].column = number[tests[i].column]
		}
	}
	return c, tests, c.addTables(sets)
}

// addTables makes a table of each feature's sets.
func (c *columns) addTables(sets []set) bool {
	at := len(c.features)
	for len(sets) > 0 {
		n := 1
		for n < len(sets) && sets[n].feature == sets[0].feature {
			n++
		}
		var members []float32
		for _, s := range sets[:n] {
			members = append(members, s.members...)
		}
		slices.Sort(members)
		members = slices.Compact(members)
		if len(c.cells)+(len(members)+2)*n > maxCells {
			return false
		}
		c.tables = append(c.tables, C.struct_tree_table{feature: C.int32_t(sets[0].feature), column: C.int32_t(at), columns: C.int32_t(n),
			first: C.int32_t(len(c.members)), members: C.int32_t(len(members)), cells: C.int32_t(len(c.cells))})
		for _, m := range members {
			c.members = append(c.members, key(m))
			for _, s := range sets[:n] {
				v := s.other
				if _, in := slices.BinarySearch(s.members, m); in {
					v = 0
				}
				c.cells = append(c.cells, v)
			}
		}
		for _, s := range sets[:n] {
			c.cells = append(c.cells, s.other)
		}
		for _, s := range sets[:n] {
			c.cells = append(c.cells, s.nan)
		}
		at, sets = at+n, sets[n:]
	}
	return true
}

func compareSets(a, b set) int {
	return cmp.Or(cmp.Compare(a.feature, b.feature), cmp.Compare(a.other, b.other), cmp.Compare(a.nan, b.nan), slices.Compare(a.members, b.members))
}

// setOf gives the set of a node that asks for membership or asks the same of all
// numbers; swap says that False is on the left.
func (f *Forest) setOf(n *Node) (s set, swap, ok bool) {
	one := func(b bool) float32 {
		if b {
			return 1
		}
		return 0
	}
	inf := math.Inf(1)
	v := float64(n.Value)
	s = set{feature: n.Feature, other: 1, nan: one(!n.MissingTrue)}
	switch {
	case n.Mode == EQ:
		s.members = membersOf([]float32{n.Value})
	case n.Mode == NEQ:
		s.members, s.nan = membersOf([]float32{n.Value}), 1
		return s, true, true
	case n.Mode == Member:
		s.members = membersOf(f.Members[n.First : n.First+n.Count])
	case v != v, n.Mode == LT && v == -inf, n.Mode == GT && v == inf: // false for all numbers
	case n.Mode == LEQ && v == inf, n.Mode == GTE && v == -inf: // true for all numbers
		s.other = 0
	default:
		return s, false, false
	}
	return s, false, true
}

// membersOf sorts what a number can equal; both zeros are one.
func membersOf(values []float32) []float32 {
	var m []float32
	for _, v := range values {
		if v == v {
			m = append(m, v+0)
		}
	}
	slices.Sort(m)
	return slices.Compact(m)
}

// key is tree_key of tree.h.
func key(x float32) int32 {
	b := int32(math.Float32bits(x + 0))
	return b ^ (b >> 31 & math.MaxInt32)
}

// canonical writes the test as x <= limit, with the branches swapped if it is
// the other way round. Strict comparisons take the float below.
func (n *Node) canonical() (limit float32, swap bool) {
	below := math.Nextafter32(n.Value, float32(math.Inf(-1)))
	switch n.Mode {
	case LEQ:
		return n.Value, false
	case LT:
		return below, false
	case GT:
		return n.Value, true
	default: // GTE
		return below, true
	}
}
