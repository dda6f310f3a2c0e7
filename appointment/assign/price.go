package assign

import (
	"cmp"
	"slices"
)

// How many arcs the search begins with and adds.
const (
	// allArcs is the number of arcs up to which all are used at once.
	allArcs = 400_000
	// perSlot arcs of each slot are taken at first, and all of the prior doctor.
	perSlot = 4
	// addedArcs is the most a request gets at once.
	addedArcs = 48
)

// chooseArcs fills arcs: all, or of each slot the cheapest, where ties go by a
// hash so that requests of one kind do not all get the same seats.
func (f *flow) chooseArcs(p *Problem) {
	f.arcs = make([][]arc, f.requests)
	total := 0
	for _, c := range f.cost {
		total += len(c)
	}
	var pick []ranked
	for i, doctors := range f.doctorsOf {
		if total <= allArcs || len(doctors) <= 2*perSlot {
			f.arcs[i] = f.allOf(i)
			continue
		}
		for s := range f.slots {
			pick = pick[:0]
			for k, d := range doctors {
				c := f.cost[i][k*f.slots+s]
				if c == noArc {
					continue
				}
				a := ranked{arc{d*int32(f.slots) + int32(s), c}, int64(c), mix(i, int(d), s)}
				if p.Prior[i] == int(d) {
					f.arcs[i] = append(f.arcs[i], a.arc)
				} else {
					pick = keepLowest(pick, a, perSlot)
				}
			}
			for _, a := range pick {
				f.arcs[i] = append(f.arcs[i], a.arc)
			}
		}
	}
}

// allOf lists all arcs of request i.
func (f *flow) allOf(i int) []arc {
	out := make([]arc, 0, len(f.cost[i]))
	for n, c := range f.cost[i] {
		if c != noArc {
			out = append(out, arc{f.doctorsOf[i][n/f.slots]*int32(f.slots) + int32(n%f.slots), c})
		}
	}
	return out
}

// ranked is an arc with its key and a tie-breaker.
type ranked struct {
	arc
	key int64
	tie uint32
}

func compareRanked(a, b ranked) int {
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.tie, b.tie))
}

// keepLowest inserts a into the sorted list and keeps the lowest few.
func keepLowest(list []ranked, a ranked, few int) []ranked {
	if len(list) == few && compareRanked(a, list[few-1]) >= 0 {
		return list
	}
	at, _ := slices.BinarySearchFunc(list, a, compareRanked)
	list = slices.Insert(list, at, a)
	return list[:min(len(list), few)]
}

// mix hashes three small numbers (the finaliser of MurmurHash3).
func mix(i, d, s int) uint32 {
	h := uint32(i)*0x9e3779b1 ^ uint32(d)*0x85ebca6b ^ uint32(s)*0xc2b2ae35
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// addArcs raises request i's potential as far as its seat allows, then adds its
// arcs of negative reduced cost, the lowest first, and returns how many.
func (f *flow) addArcs(p *Problem, i int) int {
	pi := f.pi[f.requests:f.halfNode(0)]
	own := f.seatOf[i]
	if own >= 0 {
		f.pi[i] = pi[own] - f.paid[i]
	} else {
		f.pi[i] = f.pi[f.sink()] - f.queueCost[i]
	}
	if len(f.arcs[i]) >= len(f.cost[i]) {
		return 0
	}
	var pick []ranked
	for k, d := range f.doctorsOf[i] {
		first := int(d) * f.slots
		row := f.cost[i][k*f.slots : (k+1)*f.slots]
		for s, price := range pi[first : first+f.slots] {
			c := row[s]
			reduced := int64(c) + f.pi[i] - price
			if reduced < 0 && c != noArc && int32(first+s) != own {
				pick = keepLowest(pick, ranked{arc{int32(first + s), c}, reduced, mix(i, int(d), s)}, addedArcs)
			}
		}
	}
	for _, a := range pick {
		f.arcs[i] = append(f.arcs[i], a.arc)
	}
	return len(pick)
}
