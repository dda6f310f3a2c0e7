package quant

// On AVX2 a tile multiplies unsigned A by signed B with vpmaddubsw, which sums each pair of products in 16 bits
// that saturate. No pair does if A is at most span and the positive weights of each pair, and the negative ones,
// add up to at most bound, where span·bound < 1<<15. Weights and values of a layer gather around zero, so
// that is true of nearly all. What exceeds it is cut off, exactly, and added behind the tile's own sums: of
// the weights as they are packed (here), of A as each of its rows is packed (quant_body.h).

// limits are a span of A, and the bound of the weights' pairs that goes with it.
type limits struct{ span, bound int }

var (
	// All of A goes with pairs of small weights, as those of a matrix with one scale mostly are.
	wholeSpan = limits{255, 128}
	// Seven tenths of the range go with what pairs of normally distributed weights seldom exceed.
	shortSpan = limits{180, 182}
)

// fewRests is the share of a matrix's groups, 1 in so many, that may have a rest for A to be left whole.
const fewRests = 64

// takeApart cuts the packed weights, in groups of size bytes for each half of a panel, to what pairs bear.
func (b *PackedB) takeApart(size, perPanel int) {
	halves, count := len(b.data)/size, 0
	for g := range halves {
		if exceeds(b.data[g*size:][:size], wholeSpan.bound) {
			count++
		}
	}
	lim := wholeSpan
	if count*fewRests > halves {
		lim = shortSpan
	}
	b.span = lim.span
	if count == 0 {
		return
	}
	var at []int32
	for h := range halves / perPanel {
		b.rests = append(b.rests, int32(len(at)))
		for g := range perPanel {
			block := b.data[((h/2*perPanel+g)*2+h%2)*size:][:size]
			if exceeds(block, lim.bound) {
				at = append(at, int32(g))
				b.rest = appendRest(b.rest, block, lim.bound)
			}
		}
	}
	b.rests = append(append(b.rests, int32(len(at))), at...)
}

// exceeds reports a pair that exceeds the bound, or a weight of −128, which has no
// counterpart of the other sign.
func exceeds(w []int8, bound int) bool {
	for i := 0; i < len(w); i += 2 {
		x, y := int(w[i]), int(w[i+1])
		if max(x, 0)+max(y, 0) > bound || min(x, 0)+min(y, 0) < -bound || x == -128 || y == -128 {
			return true
		}
	}
	return false
}

// appendRest cuts the weights and appends what was cut off each.
func appendRest(rest, w []int8, bound int) []int8 {
	for i := 0; i < len(w); i += 2 {
		x, y := max(int(w[i]), -127), max(int(w[i+1]), -127)
		if up := max(x, 0) + max(y, 0) - bound; up > 0 {
			x -= up
		}
		if down := -bound - min(x, 0) - min(y, 0); down > 0 {
			x += down
		}
		rest = append(rest, int8(int(w[i])-x), int8(int(w[i+1])-y))
		w[i], w[i+1] = int8(x), int8(y)
	}
	return rest
}
