package cpu

import (
	"sort"

	"github.com/aimass/aimass/runtime/cpu/lower"
)

// arenaAlign is the cache line and the width of the widest vector register.
const arenaAlign = 64

// block is one buffer of the arena: which slot, how large, and the steps between which
// it must not be shared.
type block struct {
	slot, size  int
	first, last int
}

// layout places every planned slot in the arena. Buffers whose lives do not overlap may
// share memory; the largest are placed first, each at the lowest offset that is free
// during its life ("greedy by size", Pisarchyk & Lee 2020, arXiv:2001.03288).
func (pl *plan) layout() {
	blocks := pl.lives()
	sort.SliceStable(blocks, func(i, j int) bool { return blocks[i].size > blocks[j].size })
	var placed []block // by offset
	for _, b := range blocks {
		at := 0
		for _, o := range placed {
			if o.last < b.first || b.last < o.first {
				continue
			}
			off := pl.Place[o.slot].Offset
			if at+b.size <= off {
				break
			}
			at = max(at, off+o.size)
		}
		pl.Place[b.slot].Offset = at
		pl.arena = max(pl.arena, at+b.size)
		i := sort.Search(len(placed), func(i int) bool { return pl.Place[placed[i].slot].Offset >= at })
		placed = append(placed, block{})
		copy(placed[i+1:], placed[i:])
		placed[i] = b
	}
	used := map[int]bool{}
	for _, b := range placed {
		used[b.slot] = true
	}
	// What a fused step never stores has no memory.
	for i := range pl.Place {
		if pl.Place[i].Planned() && !used[pl.owner(i)] {
			pl.Place[i].Kind = lower.OnHeap
		}
	}
}

// lives finds for each planned slot the first and last step that touches it; reads
// through an alias count for the slot that owns the memory.
func (pl *plan) lives() []block {
	at := map[int]int{} // slot → index in blocks
	var blocks []block
	touch := func(slot, t int) {
		if slot < 0 {
			return
		}
		slot = pl.owner(slot)
		if pl.Place[slot].Kind != lower.InArena {
			return
		}
		i, ok := at[slot]
		if !ok {
			size := pl.Info[slot].DType.Bytes(pl.Info[slot].Shape.Elements())
			size = (size + arenaAlign - 1) / arenaAlign * arenaAlign
			i = len(blocks)
			at[slot] = i
			blocks = append(blocks, block{slot: slot, size: size, first: t})
		}
		blocks[i].last = t
	}
	for t, s := range pl.steps {
		for _, list := range [][]int{s.Writes, s.Reads} {
			for _, slot := range list {
				touch(slot, t)
			}
		}
	}
	for _, slot := range pl.Out {
		touch(slot, len(pl.steps))
	}
	return blocks
}

func (pl *plan) owner(slot int) int {
	for pl.Place[slot].Kind == lower.Alias || pl.Place[slot].Kind == lower.Within {
		slot = pl.Place[slot].Of
	}
	return slot
}

// offset is where a planned slot begins in the arena.
func (pl *plan) offset(slot int) int {
	at := 0
	for pl.Place[slot].Kind == lower.Within {
		at += pl.Place[slot].Offset
		slot = pl.Place[slot].Of
	}
	return at + pl.Place[slot].Offset
}
