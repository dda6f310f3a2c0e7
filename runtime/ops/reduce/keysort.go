package reduce

import "slices"

// keySort sorts keys whose lower 32 bits count upwards from 0, so that the upper 32 decide: many keys by
// their digits, which takes the same few passes whatever their number.
type keySort struct {
	spare []uint64 // nil: few keys
}

// digitKeys is the number of keys from which on digits are faster than comparing.
const digitKeys = 200

func newKeySort(n int) *keySort {
	s := &keySort{}
	if n >= digitKeys {
		s.spare = make([]uint64, n)
	}
	return s
}

// run sorts as many keys as newKeySort was told of. A byte that all keys share needs no pass.
func (s *keySort) run(keys []uint64) {
	if s.spare == nil {
		slices.Sort(keys)
		return
	}
	var count [4][256]int
	for _, k := range keys {
		count[0][uint8(k>>32)]++
		count[1][uint8(k>>40)]++
		count[2][uint8(k>>48)]++
		count[3][uint8(k>>56)]++
	}
	from, to := keys, s.spare
	for d := range count {
		c, shift := &count[d], 32+8*d
		if c[uint8(keys[0]>>shift)] == len(keys) {
			continue
		}
		sum := 0
		for i, n := range c {
			c[i], sum = sum, sum+n
		}
		for _, k := range from {
			at := &c[uint8(k>>shift)]
			to[*at] = k
			*at++
		}
		from, to = to, from
	}
	if &from[0] != &keys[0] {
		copy(keys, from)
	}
}
