package coded

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// randomBlocks are codes, scales and zero points of a k×n matrix.
func randomBlocks(k, n, bits, size int, zeros bool) *Blocks {
	r := rand.New(rand.NewPCG(uint64(k*n), uint64(bits)))
	blocks := (k + size - 1) / size
	b := &Blocks{Bits: bits, Size: size, Codes: make([]byte, n*blocks*size*bits/8), Scales: kt.Fill(make([]float32, n*blocks), 7)}
	for i := range b.Codes {
		b.Codes[i] = byte(r.Uint32())
	}
	if zeros {
		z := make([]byte, n*blocks)
		for i := range z {
			z[i] = byte(r.Uint32N(1 << bits))
		}
		b.Zero = func(column, block int) byte { return z[column*blocks+block] }
	}
	return b
}

// plain gives the weights by their definition.
func (b *Blocks) plain(k, n int) []float32 {
	blocks, w := (k+b.Size-1)/b.Size, make([]float32, k*n)
	for j := range n {
		for i := range k {
			at := (j*blocks+i/b.Size)*b.Size + i%b.Size
			code := b.Codes[at*b.Bits/8] >> (at * b.Bits % 8) & byte(1<<b.Bits-1)
			zero := byte(1) << (b.Bits - 1)
			if b.Zero != nil {
				zero = b.Zero(j, i/b.Size)
			}
			w[i*n+j] = float32(int(code)-int(zero)) * b.Scales[j*blocks+i/b.Size]
		}
	}
	return w
}

func check(t *testing.T, level isa.Level, name string, m int, w *Weights, plain []float32, ep *gemm.Epilogue, threads int) {
	t.Helper()
	lda, ldc := w.K+3, w.N+2
	a := kt.Random(t, max(0, (m-1)*lda+w.K), 1)
	c := kt.Random(t, max(0, (m-1)*ldc+w.N), 3)
	want := slices.Clone(c)
	if ep != nil && ep.Residual != nil {
		ep.LDR = w.N + 4
		ep.Residual = kt.Random(t, max(0, (m-1)*ep.LDR+w.N), 4)
	}
	Gemm(m, a, lda, w, c, ldc, ep, threads)
	gemm.Gemm(m, a, lda, gemm.PackB(w.K, w.N, plain, w.N, false), want, ldc, ep, 1)
	most := 0.0
	for _, x := range plain {
		most = max(most, math.Abs(float64(x)))
	}
	kt.Same(t, kt.Name(name, level, m, w.N, w.K, threads), c, want, 2e-6, 2e-6*max(1, most)*math.Sqrt(float64(w.K)))
}

func TestBlocks(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, bits := range []int{2, 4, 8} {
			for _, zeros := range []bool{false, true} {
				for _, k := range []int{1, 5, 16, 31, 64, 100, 400} {
					for _, n := range []int{1, 15, 16, 33, 64, 100} {
						b := randomBlocks(k, n, bits, []int{16, 32, 128}[(k+n)%3], zeros)
						w, plain := packBlocks(level, k, n, b), b.plain(k, n)
						for _, m := range []int{0, 1, 2, 3, 4, 5, 13} {
							check(t, level, kt.Name("blocks", bits, zeros), m, w, plain, nil, 2)
						}
					}
				}
			}
		}
	})
}

func TestManyRows(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, m := range []int{24, 150, 300} {
			b := randomBlocks(800, 100, 4, 32, true)
			check(t, level, "blocks", m, packBlocks(level, 800, 100, b), b.plain(800, 100), nil, 2)
		}
	})
}

func TestEpilogue(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		b := randomBlocks(70, 50, 4, 32, true)
		w, plain := packBlocks(level, 70, 50, b), b.plain(70, 50)
		for _, m := range []int{1, 2, 5, 40} {
			for _, f := range []act.Func{act.None, act.Relu, act.Gelu} {
				ep := &gemm.Epilogue{Alpha: 0.1, Bias: kt.Random(t, 50, 5), Residual: []float32{}, Beta: 0.5, Act: act.Act{Func: f}}
				check(t, level, "epilogue", m, w, plain, ep, 1)
			}
		}
	})
}

func TestHalves(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, kind := range []Kind{Float16, BFloat16} {
			for _, trans := range []bool{false, true} {
				for _, k := range []int{1, 5, 33, 400} {
					for _, n := range []int{1, 16, 33, 100} {
						r := rand.New(rand.NewPCG(uint64(k), uint64(n)))
						h, plain := make([]uint16, k*n), make([]float32, k*n)
						ld := n
						if trans {
							ld = k
						}
						for i := range h {
							h[i] = uint16(r.Uint32())
							if h[i]>>10&31 == 31 || kind == BFloat16 { // about 1, and no NaN
								h[i] = h[i]&0x83ff | 0x3800
							}
						}
						for i := range k {
							for j := range n {
								at := i*n + j
								if trans {
									at = j*k + i
								}
								plain[i*n+j] = half.ToFloat32(h[at])
								if kind == BFloat16 {
									plain[i*n+j] = math.Float32frombits(uint32(h[at]) << 16)
								}
							}
						}
						w := packHalves(level, k, n, kind, h, ld, trans)
						for _, m := range []int{1, 2, 3, 4, 13, 40} {
							check(t, level, kt.Name("halves", kind, trans), m, w, plain, nil, 2)
						}
					}
				}
			}
		}
	})
}

func TestBytesOfWeights(t *testing.T) {
	b := randomBlocks(256, 64, 4, 32, false)
	if got, want := PackBlocks(256, 64, b).Bytes(), 256*64/2+256*64/32*4; got != want {
		t.Errorf("%d bytes, expected %d", got, want)
	}
}
