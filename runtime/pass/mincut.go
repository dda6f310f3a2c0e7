package pass

import "math"

// cut is a flow network between two ends. Its cheapest cut says which of its points lie on the
// side of the first end (Dinic, "Algorithm for solution of a problem of maximum flow in networks
// with power estimation", 1970).
type cut struct {
	to    []int // of an edge; edge e^1 is its reverse
	room  []int64
	edges [][]int // by point
	level []int
	next  []int
}

// The ends of a cut.
const (
	source = iota
	sink
)

// unbounded is what a cut never pays.
const unbounded = math.MaxInt64 / 4

func newCut() *cut {
	c := &cut{}
	c.point()
	c.point()
	return c
}

// point adds a point.
func (c *cut) point() int {
	c.edges = append(c.edges, nil)
	return len(c.edges) - 1
}

// edge makes a cost that is paid where a lies on the source's side and b on the sink's.
func (c *cut) edge(a, b int, cost int64) {
	c.edges[a], c.edges[b] = append(c.edges[a], len(c.to)), append(c.edges[b], len(c.to)+1)
	c.to, c.room = append(c.to, b, a), append(c.room, cost, 0)
}

// nearest finds the cheapest cut and of all those the one with the fewest points on the source's
// side, which it reports.
func (c *cut) nearest() []bool {
	for c.layers() {
		c.next = make([]int, len(c.edges))
		for c.push(source, unbounded) > 0 {
		}
	}
	side := make([]bool, len(c.edges))
	for p, l := range c.level {
		side[p] = l >= 0
	}
	return side
}

// layers numbers the points that the source reaches by their distance.
func (c *cut) layers() bool {
	c.level = make([]int, len(c.edges))
	for p := range c.level {
		c.level[p] = -1
	}
	c.level[source] = 0
	for queue := []int{source}; len(queue) > 0; queue = queue[1:] {
		for _, e := range c.edges[queue[0]] {
			if p := c.to[e]; c.room[e] > 0 && c.level[p] < 0 {
				c.level[p] = c.level[queue[0]] + 1
				queue = append(queue, p)
			}
		}
	}
	return c.level[sink] >= 0
}

// push sends up to most from a point to the sink, from layer to layer.
func (c *cut) push(p int, most int64) int64 {
	if p == sink {
		return most
	}
	for ; c.next[p] < len(c.edges[p]); c.next[p]++ {
		e := c.edges[p][c.next[p]]
		if c.room[e] == 0 || c.level[c.to[e]] != c.level[p]+1 {
			continue
		}
		if sent := c.push(c.to[e], min(most, c.room[e])); sent > 0 {
			c.room[e] -= sent
			c.room[e^1] += sent
			return sent
		}
	}
	return 0
}
