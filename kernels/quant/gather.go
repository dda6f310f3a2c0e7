package quant

import "fmt"

// Gather says where rows of A lie in its Data, as a convolution needs them. It has looked at
// every place once, so that products need not: it is read-only and may be shared.
type Gather struct {
	places []int32
	tap    int
	pad    []byte
	reach  int // how many bytes of Data the places take
}

// NewGather makes row i of runs of tap bytes, a multiple of 4: run t of the K/tap lies at
// places[i·K/tap + t], or is pad (tap bytes) where that is −1.
func NewGather(places []int32, tap int, pad []byte) *Gather {
	if tap < 4 || tap%4 != 0 || len(pad) < tap {
		panic(fmt.Sprintf("BUG: quant: runs of %d bytes, padding of %d", tap, len(pad)))
	}
	g := &Gather{places: places, tap: tap, pad: pad}
	for _, p := range places {
		if p < -1 {
			panic(fmt.Sprintf("BUG: quant: a place at %d", p))
		}
		if p >= 0 {
			g.reach = max(g.reach, int(p)+tap)
		}
	}
	return g
}

// row is row i of k bytes.
func (g *Gather) row(data []byte, i, k int) []byte {
	row := make([]byte, 0, k)
	for _, p := range g.places[i*(k/g.tap) : (i+1)*(k/g.tap)] {
		if p < 0 {
			row = append(row, g.pad[:g.tap]...)
		} else {
			row = append(row, data[p:int(p)+g.tap]...)
		}
	}
	return row
}
