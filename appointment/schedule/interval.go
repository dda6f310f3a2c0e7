package schedule

// move is a shift of the starts of places i..j by step minutes.
type move struct {
	i, j, step int
	cost       float64
}

// scan prices the shifts of all intervals that begin at place i by step and
// returns the cheapest; its cost is best when none is below. It needs post and pre
// below i and ahead above i. span bounds the number of places in an interval.
func (e *engine) scan(i, step int, best float64, span int) move {
	m := move{i: i, cost: best}
	if !e.allowed(i, step) || e.gap(i)+step < 0 {
		return m
	}
	acc := 0.0
	if i > 0 {
		acc = e.pre[i-1]
	}
	cur := shifted(e.buf[0], e.before(i), (e.gap(i)+step)/e.unit)
	next := e.buf[2]
	for j := i; j < min(e.n, i+span); j++ {
		if !e.allowed(j, step) {
			break
		}
		p := e.order[j]
		acc += e.weight[p] * e.mean(cur)
		if acc >= m.cost {
			break
		}
		next = e.arrive(next, cur, &e.kern[p])
		if j == e.n-1 {
			if c := acc + e.ending(next, e.a[j]+step); c < m.cost {
				m = move{i, j, step, c}
			}
			break
		}
		if gap := e.gap(j+1) - step; gap >= 0 {
			if c := acc + e.price(j+1, next, gap); c < m.cost {
				m = move{i, j, step, c}
			}
		}
		cur = shifted(cur, next, e.gap(j+1)/e.unit)
	}
	e.buf[0], e.buf[2] = cur, next
	return m
}

// allowed says whether place k may start step minutes later (earlier, if
// negative) as far as its own bounds go.
func (e *engine) allowed(k, step int) bool {
	if k == 0 && e.pinned {
		return false
	}
	t := e.a[k] + step
	return t >= e.start && (e.lb == nil || t >= e.lb[k]) && (e.ub == nil || t <= e.ub[k])
}

// apply makes the move and repairs ahead above place i; the caller goes on with
// forward(i).
func (e *engine) apply(m move) {
	for k := m.i; k <= m.j; k++ {
		e.a[k] += m.step
	}
	for k := m.j; k > m.i; k-- {
		e.backward(k)
	}
}

// sweep goes once over all places and takes the best improving interval move of
// ±step at each, again at the same place as long as it improves. It returns the
// new cost.
func (e *engine) sweep(step int, cost, tolerance float64, span int) float64 {
	for i := range e.n {
		for range 4 {
			m := e.scan(i, step, cost-tolerance, span)
			if down := e.scan(i, -step, m.cost, span); down.step != 0 {
				m = down
			}
			if m.step == 0 {
				break
			}
			e.apply(m)
			cost = m.cost
		}
		e.forward(i)
	}
	return cost
}

// descend improves the current times by interval moves, with steps from coarse
// to one grid step, until no move improves or the work (multiplications, in
// total) reaches the budget. Where a whole sweep is too much for what is left,
// intervals are kept short. It returns the cost, up to a constant.
func (e *engine) descend(steps []int, budget int64) float64 {
	cost := e.refresh()
	for _, step := range steps {
		for {
			span := e.affordable(budget - e.work)
			if span == 0 {
				break
			}
			tolerance := 1e-9 + 1e-9*cost
			gain := cost - e.sweep(step, cost, tolerance, span)
			cost = e.refresh()
			if gain <= tolerance {
				break
			}
		}
	}
	return cost
}

// affordable returns the longest interval for which one sweep stays within the
// budget, 0 if not even pairs do.
func (e *engine) affordable(budget int64) int {
	each := int64(1)
	for k := 1; k < e.n; k++ {
		kn := &e.kern[e.order[k]]
		each += int64(len(e.post[k-1])) * int64(len(kn.dense)+len(kn.tail))
	}
	span := budget / (2*each + 1)
	switch {
	case span >= int64(e.n/2):
		return e.n
	case span < 2:
		return 0
	}
	return int(span)
}
