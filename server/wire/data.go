package wire

import (
	"encoding/binary"
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/kernels/numeral"
	"github.com/aimass/aimass/runtime/tensor"
)

// data reads the value of an input's "data" into in.buf, or into scratch for strings. The array is flat, or nested as
// the shape says.
func (p *parser) data(in *Input) error {
	if err := p.sink.Check(in); err != nil {
		return err
	}
	n := in.Shape.Elements()
	// Every element but the last takes two bytes at least, so no shape can ask for more memory than the text justifies.
	if n > (len(p.b)-p.i)/2+1 {
		return p.fail(api.CodeSizeMismatch, "input '%s': shape %v has %d elements, more than the request can hold", in.Name, in.Shape, n)
	}
	if in.DType != tensor.String {
		size := in.DType.Bytes(n)
		if in.buf = p.sink.Buffer(in, size); len(in.buf) != size {
			panic("BUG: a Sink's buffer does not fit the input")
		}
	}
	from := len(p.scratch)
	p.marks, p.nestedData, p.stuck = p.marks[:0], false, false
	if err := p.nested(in, n); err != nil {
		return err
	}
	if in.DType == tensor.String {
		in.Strings = p.takeStrings(from)
	} else {
		in.Data = in.buf
	}
	in.buf = nil
	return nil
}

// takeStrings makes the elements in scratch from there on, which end at marks, into strings with memory of their own.
func (p *parser) takeStrings(from int) []string {
	all := string(p.scratch[from:])
	list := make([]string, len(p.marks))
	start := 0
	for i, end := range p.marks {
		list[i] = all[start : end-from]
		start = end - from
	}
	p.scratch = p.scratch[:from]
	return list
}

// nested decides between a flat and a nested array and reads it; n is the number of elements.
func (p *parser) nested(in *Input, n int) error {
	if len(in.Shape) == 0 && p.peek() != '[' {
		return p.elements(in, 0, 1)
	}
	mark := p.i
	if err := p.open('[', "the data's array"); err != nil {
		return err
	}
	if p.peek() == '[' && len(in.Shape) > 1 {
		p.i = mark
		p.depth--
		p.nestedData = true
		_, err := p.level(in, 0, 0)
		return err
	}
	return p.run(in, 0, n)
}

// level reads the array of one axis; at is the index of its first element in the whole tensor.
func (p *parser) level(in *Input, axis, at int) (next int, err error) {
	if p.peek() != '[' {
		return at, p.notNested(in, axis)
	}
	if err := p.open('[', "an array"); err != nil {
		return at, err
	}
	size := in.Shape[axis]
	if axis == len(in.Shape)-1 {
		return at + size, p.run(in, at, size)
	}
	for i := 0; ; i++ {
		done, err := p.next(i == 0, ']', "an array")
		if err != nil {
			return at, err
		}
		if done && i == size {
			return at, nil
		}
		if done || i == size {
			return at, p.wrongExtent(in, axis, i, done)
		}
		if at, err = p.level(in, axis+1, at); err != nil {
			return at, err
		}
	}
}

func (p *parser) notNested(in *Input, axis int) error {
	if p.i >= len(p.b) {
		return p.unexpected("an array")
	}
	return p.fail(api.CodeShapeMismatch, "input '%s': data are nested %d deep, shape %v needs %d (or a flat array)",
		in.Name, axis, in.Shape, len(in.Shape))
}

func (p *parser) wrongExtent(in *Input, axis, got int, done bool) error {
	if !done {
		return p.fail(api.CodeShapeMismatch, "input '%s': an array at axis %d has more than %d elements, shape is %v",
			in.Name, axis, got, in.Shape)
	}
	return p.fail(api.CodeShapeMismatch, "input '%s': an array at axis %d has %d elements, shape %v needs %d",
		in.Name, axis, got, in.Shape, in.Shape[axis])
}

// run reads n elements, of which the first is the tensor's element at, and the bracket behind them.
func (p *parser) run(in *Input, at, n int) error {
	if n > 0 {
		if p.peek() == ']' {
			return p.wrongCount(in, n, 0)
		}
		if err := p.elements(in, at, n); err != nil {
			return err
		}
	}
	if p.peek() != ']' {
		if n > 0 && p.peek() != ',' {
			return p.unexpected("',' or ']'")
		}
		return p.tooMany(in, n)
	}
	p.i++
	p.depth--
	return nil
}

// wrongCount says that the array that ends here has too few elements, or with got > n too many.
func (p *parser) wrongCount(in *Input, n, got int) error {
	if !p.nestedData {
		return p.fail(api.CodeSizeMismatch, "input '%s': data have %d elements, shape %v needs %d", in.Name, got, in.Shape, n)
	}
	return p.wrongExtent(in, len(in.Shape)-1, got, true)
}

// tooMany counts what follows n elements, for the message.
func (p *parser) tooMany(in *Input, n int) error {
	got := n
	for {
		done, err := p.next(got == 0, ']', "the data")
		if err != nil {
			return err
		}
		if done {
			return p.wrongCount(in, n, got)
		}
		if err := p.skip(); err != nil {
			return err
		}
		got++
	}
}

// elements reads n elements with commas between them.
func (p *parser) elements(in *Input, at, n int) error {
	var done int
	var err error
	width := in.DType.Bytes(1)
	switch in.DType {
	case tensor.Float32:
		done, err = p.float32s(in.buf[at*4:], n)
	case tensor.Float64:
		done, err = p.float64s(in.buf[at*8:], n)
	case tensor.Float16, tensor.BFloat16:
		done, err = p.halves(in.buf[at*2:], n, in.DType)
	case tensor.Bool:
		done, err = p.bools(in.buf[at:], n)
	case tensor.String:
		done, err = p.strings(n)
	default:
		done, err = p.integers(in.buf[at*width:], n, width, in.DType.IsSigned())
	}
	if err == nil && done < n {
		return p.badElement(in, at+done, n, done)
	}
	return err
}

// comma moves behind the comma to the next element; it fails at the end of the array, where elements are missing.
func (p *parser) comma() bool {
	if p.i < len(p.b) && p.b[p.i] == ',' {
		p.i++
	} else if p.peek() == ',' {
		p.i++
	} else {
		p.stuck = true
		return false
	}
	if p.i < len(p.b) && p.b[p.i] == ' ' {
		p.i++
	}
	if p.i < len(p.b) && p.b[p.i] <= ' ' {
		p.ws()
	}
	return true
}

// float32s and its kin read up to n elements and return how many there were; fewer than n where the next one is no
// value of the type or the array ends.
func (p *parser) float32s(dst []byte, n int) (int, error) {
	p.ws()
	b := p.b
	for k, alone := 0, 0; ; {
		// Several at once, but not soon again after those that were written in another way, and never the last: what follows it need not be
		// another.
		if alone--; alone < 0 {
			done, next := numeral.ReadFloat32s(dst[4*k:4*(n-1)], b, p.i)
			if k, p.i = k+done, next; done < numeral.Least {
				alone = 4 * numeral.Least
			}
		}
		from := p.i
		d := scanDecimal(b, from)
		var bits uint32
		if d.end < 0 {
			f, ok := p.notFinite()
			if !ok {
				return k, nil
			}
			bits = math.Float32bits(float32(f))
		} else {
			var ok bool
			if bits, ok = d.parseFloat32(b[from:d.end]); !ok {
				return k, nil
			}
			p.i = d.end
		}
		binary.LittleEndian.PutUint32(dst[k*4:], bits)
		if k++; k == n {
			return n, nil
		}
		if i := p.i; i+1 < len(b) && b[i] == ',' && b[i+1] > ' ' {
			p.i++
		} else if !p.comma() {
			return k, nil
		}
	}
}

func (p *parser) float64s(dst []byte, n int) (int, error) {
	p.ws()
	for k := range n {
		if k > 0 && !p.comma() {
			return k, nil
		}
		f, ok := p.float()
		if !ok {
			return k, nil
		}
		binary.LittleEndian.PutUint64(dst[k*8:], math.Float64bits(f))
	}
	return n, nil
}

// halves rounds twice, to float64 and to the half type, which differs from one rounding only for numbers of more than 17
// digits beside a middle between two halves. Numbers that would become infinite are refused.
func (p *parser) halves(dst []byte, n int, d tensor.DType) (int, error) {
	p.ws()
	for k := range n {
		if k > 0 && !p.comma() {
			return k, nil
		}
		from := p.i
		f, ok := p.float()
		if !ok {
			return k, nil
		}
		var h uint16
		var inf uint16 = 0x7c00
		if d == tensor.Float16 {
			h = half.FromFloat32(roundToOdd(f))
		} else {
			h = half.BrainFromFloat32(roundToOdd(f))
			inf = 0x7f80
		}
		if h&0x7fff == inf && !math.IsInf(f, 0) {
			p.i = from
			return k, nil
		}
		binary.LittleEndian.PutUint16(dst[k*2:], h)
	}
	return n, nil
}

// roundToOdd narrows f so that rounding the result to at most 22 bits gives what rounding f itself would (Boldo and
// Melquiond, "Emulation of FMA and correctly rounded sums", 2008): an inexact result gets an odd last bit.
func roundToOdd(f float64) float32 {
	g := float32(f)
	if float64(g) == f || f != f {
		return g
	}
	b := math.Float32bits(g)
	if b&1 == 1 {
		return g
	}
	if math.Abs(float64(g)) > math.Abs(f) {
		return math.Float32frombits(b - 1)
	}
	return math.Float32frombits(b + 1)
}

// float reads one number of any kind, where ok is false without moving on.
func (p *parser) float() (f float64, ok bool) {
	d := scanDecimal(p.b, p.i)
	if d.end < 0 {
		return p.notFinite()
	}
	if f, ok = d.parseFloat64(p.b[p.i:d.end]); ok {
		p.i = d.end
	}
	return f, ok
}

// notFinite reads one of the literals for NaN and the infinities.
func (p *parser) notFinite() (float64, bool) {
	switch {
	case p.literal("NaN"):
		return math.NaN(), true
	case p.literal("Infinity"), p.literal("Inf"):
		return math.Inf(1), true
	case p.literal("-Infinity"), p.literal("-Inf"):
		return math.Inf(-1), true
	}
	return 0, false
}

func (p *parser) integers(dst []byte, n, width int, signed bool) (int, error) {
	// The largest magnitudes of a positive and of a negative number.
	most, least := uint64(1)<<(8*width)-1, uint64(0)
	if width == 8 {
		most = math.MaxUint64
	}
	if signed {
		most >>= 1
		least = most + 1
	}
	p.ws()
	for k := range n {
		if k > 0 && !p.comma() {
			return k, nil
		}
		d := scanDecimal(p.b, p.i)
		if d.end < 0 || !d.integer() {
			return k, nil
		}
		v, limit := d.mant, most
		if d.neg() {
			v, limit = -d.mant, least
		}
		if d.mant > limit || d.long() && !fitsUint64(p.b[p.i:d.end]) {
			return k, nil
		}
		p.i = d.end
		switch width {
		case 1:
			dst[k] = byte(v)
		case 2:
			binary.LittleEndian.PutUint16(dst[k*2:], uint16(v))
		case 4:
			binary.LittleEndian.PutUint32(dst[k*4:], uint32(v))
		default:
			binary.LittleEndian.PutUint64(dst[k*8:], v)
		}
	}
	return n, nil
}

// fitsUint64 is for integers of more than 19 digits.
func fitsUint64(text []byte) bool {
	if text[0] == '-' {
		text = text[1:]
	}
	const most = "18446744073709551615"
	return len(text) < len(most) || len(text) == len(most) && string(text) <= most
}

// bools reads true and false, and 1 and 0, which some clients send.
func (p *parser) bools(dst []byte, n int) (int, error) {
	p.ws()
	for k := range n {
		if k > 0 && !p.comma() {
			return k, nil
		}
		switch {
		case p.literal("true"):
			dst[k] = 1
		case p.literal("false"):
			dst[k] = 0
		default:
			d := scanDecimal(p.b, p.i)
			if d.end < 0 || !d.integer() || d.mant > 1 || d.neg() || d.long() {
				return k, nil
			}
			dst[k] = byte(d.mant)
			p.i = d.end
		}
	}
	return n, nil
}

func (p *parser) strings(n int) (int, error) {
	p.ws()
	for k := range n {
		if k > 0 && !p.comma() {
			return k, nil
		}
		if p.i >= len(p.b) || p.b[p.i] != '"' {
			return k, nil
		}
		if err := p.appendString(); err != nil {
			return k, err
		}
		p.marks = append(p.marks, len(p.scratch))
	}
	return n, nil
}

// badElement explains why the tensor's element index could not be read, after done of the n elements of its array: the
// array ended, or JSON did, or the value is not of the type or beyond its range.
func (p *parser) badElement(in *Input, index, n, done int) error {
	switch c := p.peek(); {
	case p.i >= len(p.b):
		return p.fail(api.CodeInvalidJSON, "input '%s': JSON ends inside the data", in.Name)
	case p.stuck && c == ']':
		return p.wrongCount(in, n, done)
	case p.stuck:
		return p.unexpected("',' or ']'")
	case c == '[':
		return p.fail(api.CodeShapeMismatch, "input '%s': data are nested deeper than shape %v", in.Name, in.Shape)
	}
	from := p.i
	d := scanDecimal(p.b, from)
	if err := p.skip(); err != nil {
		return err
	}
	value := p.b[from:min(p.i, from+40)]
	p.i = from
	if d.end >= 0 && in.DType != tensor.String && (d.integer() || in.DType.IsFloat()) {
		return p.fail(api.CodeNumberOutOfRange, "input '%s': element %d is %s, out of range for %s",
			in.Name, index, value, in.DType.V2())
	}
	hint := ""
	if string(value) == "null" && in.DType.IsFloat() {
		hint = "; a missing number is written NaN"
	}
	return p.fail(api.CodeValueInvalid, "input '%s': element %d is %s, not a %s value%s", in.Name, index, value, in.DType.V2(), hint)
}
