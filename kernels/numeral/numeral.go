// Package numeral turns arrays of float32 into the text of JSON arrays and back, many numbers in one call. It does those of the usual forms
// that lie one behind the other; whatever else comes up is its caller's, who has a way for every number.
//
// Neighbours: server/wire, whose readable Go is the specification of both functions.
//
// Ownership: nothing is kept. Both functions are safe for concurrent use.
package numeral

import "math/big"

// Least is the fewest numbers for which a call is worth what it costs.
const Least = 16

// Room is the most bytes that a number takes when it is written, with the comma and what is overwritten behind it.
const Room = 24

const (
	// MinPower and MaxPower bound the powers of ten; writing needs more than reading, which overflows above 38.
	MinPower = -64
	MaxPower = 45
)

// Powers holds the upper 64 bits of 10^q for q from MinPower to MaxPower, normalised to the top bit and rounded down.
var Powers = makePowers()

func makePowers() (t [MaxPower - MinPower + 1]uint64) {
	ten := big.NewInt(10)
	for q := MinPower; q <= MaxPower; q++ {
		n := new(big.Int)
		if q >= 0 {
			n.Exp(ten, big.NewInt(int64(q)), nil)
			n.Lsh(n, 64)
		} else {
			n.Lsh(big.NewInt(1), 512)
			n.Quo(n, new(big.Int).Exp(ten, big.NewInt(int64(-q)), nil))
		}
		n.Rsh(n, uint(n.BitLen()-64))
		t[q-MinPower] = n.Uint64()
	}
	return t
}
