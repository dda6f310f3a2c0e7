package signal

import (
	"math"
	"math/bits"
	"math/cmplx"
)

// fft is a transform of one length, forward: Σ x[j]·exp(−2πi·jk/n). Powers of two go
// through Cooley and Tukey's algorithm, other lengths through Bluestein's, which turns
// them into a convolution of a power of two.
type fft struct {
	n     int
	twist []complex128 // exp(−2πi·k/n) for k < n/2, for powers of two
	chirp []complex128 // exp(−πi·k²/n)
	inner *fft
	conv  []complex128 // transform of the conjugate chirp
}

func newFFT(n int) *fft {
	f := &fft{n: n}
	if n <= 1 {
		return f
	}
	if n&(n-1) == 0 {
		f.twist = make([]complex128, n/2)
		for k := range f.twist {
			f.twist[k] = turn(k, n)
		}
		return f
	}
	m := 1 << bits.Len(uint(2*n-2))
	f.inner = newFFT(m)
	f.chirp = make([]complex128, n)
	f.conv = make([]complex128, m)
	for k := range f.chirp {
		// k² modulo 2n keeps the angle exact for long transforms.
		f.chirp[k] = turn(int(uint64(k)*uint64(k)%uint64(2*n)), 2*n)
		f.conv[k] = cmplx.Conj(f.chirp[k])
		f.conv[(m-k)%m] = f.conv[k]
	}
	f.inner.forward(f.conv)
	return f
}

// turn is exp(−2πi·k/n).
func turn(k, n int) complex128 {
	s, c := math.Sincos(2 * math.Pi * float64(k) / float64(n))
	return complex(c, -s)
}

// forward transforms x, of length n, in place.
func (f *fft) forward(x []complex128) {
	switch {
	case f.n <= 1:
	case f.inner == nil:
		f.radix2(x)
	default:
		y := make([]complex128, f.inner.n)
		for k, v := range x {
			y[k] = v * f.chirp[k]
		}
		f.inner.forward(y)
		for k := range y {
			y[k] *= f.conv[k]
		}
		f.inner.inverse(y)
		for k := range x {
			x[k] = y[k] * f.chirp[k]
		}
	}
}

// inverse is the transform back, divided by n.
func (f *fft) inverse(x []complex128) {
	for i, v := range x {
		x[i] = cmplx.Conj(v)
	}
	f.forward(x)
	for i, v := range x {
		x[i] = complex(real(v)/float64(f.n), -imag(v)/float64(f.n))
	}
}

func (f *fft) radix2(x []complex128) {
	shift := 64 - bits.Len(uint(f.n-1))
	for i := range x {
		if j := int(bits.Reverse64(uint64(i)) >> shift); j > i {
			x[i], x[j] = x[j], x[i]
		}
	}
	for half := 1; half < f.n; half *= 2 {
		stride := f.n / (2 * half)
		for from := 0; from < f.n; from += 2 * half {
			for k := range half {
				a, b := x[from+k], x[from+k+half]*f.twist[k*stride]
				x[from+k], x[from+k+half] = a+b, a-b
			}
		}
	}
}
