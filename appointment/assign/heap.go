package assign

// entry is a node at a distance.
type entry struct {
	dist int64
	node int32
}

// before orders entries by distance; of equals the higher node is first, which is
// the one nearer to the sink.
func (e entry) before(o entry) bool {
	return e.dist < o.dist || (e.dist == o.dist && e.node > o.node)
}

// heap is a binary heap of entries, nearest first; stale entries are left in and
// skipped by the reader.
type heap []entry

func (h *heap) push(e entry) {
	a := append(*h, e)
	i := len(a) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(a[up]) {
			break
		}
		a[i] = a[up]
		i = up
	}
	a[i] = e
	*h = a
}

func (h *heap) pop() entry {
	a := *h
	top := a[0]
	last := a[len(a)-1]
	a = a[:len(a)-1]
	i := 0
	for {
		c := 2*i + 1
		if c >= len(a) {
			break
		}
		if c+1 < len(a) && a[c+1].before(a[c]) {
			c++
		}
		if !a[c].before(last) {
			break
		}
		a[i] = a[c]
		i = c
	}
	if len(a) > 0 {
		a[i] = last
	}
	*h = a
	return top
}
