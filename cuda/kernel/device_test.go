package kernel

import (
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/cuda/emulator"
	"github.com/aimass/aimass/cuda/ptx"
)

// check is one call, or a few of one kind, held against float64 or exact integers. Checks of the size
// "big" are left out of the mutation run.
type check struct {
	name string
	big  bool
	run  func(*bench)
}

// checks are all of them; every kernel of every module must be run by one.
func checks() []check {
	return slices.Concat(gemmChecks(), tensorChecks(), byteChecks(), attentionChecks(), normChecks(), unaryChecks(), binaryChecks(),
		castChecks(), moveChecks(), reduceChecks(), treeChecks(), convChecks(), quantChecks(), resizeChecks())
}

// bench runs checks on one context.
type bench struct {
	ctx    *driver.Context
	source func(module string) ([]byte, error)
	loaded map[string]bool
	ran    map[string]bool // kernels launched since it was last emptied
	rng    *rand.Rand
	shift  int64 // bytes by which pointers miss 16-byte alignment
	owned  []cuda.Ptr
}

type failure struct{ err error }

func (b *bench) fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

func (b *bench) must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// try runs one check with random data of its own and frees what it took.
func (b *bench) try(c check) (err error) {
	defer func() {
		for _, p := range b.owned {
			if e := b.ctx.Free(p); err == nil && e != nil {
				err = e
			}
		}
		b.owned = nil
	}()
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = f.err
		}
	}()
	h := fnv.New64a()
	h.Write([]byte(c.name))
	b.rng, b.shift = rand.New(rand.NewPCG(h.Sum64(), 1)), 0
	c.run(b)
	return nil
}

// do runs the Launches of an AppendX, as in b.do(AppendGemm(nil, g)).
func (b *bench) do(launches []cuda.Launch, err error) {
	b.must(err)
	for _, l := range launches {
		b.ran[l.Kernel] = true
		if b.loaded[l.Module] {
			continue
		}
		text, err := b.source(l.Module)
		b.must(err)
		b.must(b.ctx.Load(l.Module, text))
		b.loaded[l.Module] = true
	}
	b.must(b.ctx.Run(launches...))
}

// alloc takes exactly n bytes, shifted; an access beyond them is an error of the double.
func (b *bench) alloc(n int64) cuda.Ptr {
	p, err := b.ctx.Alloc(max(n+b.shift, 1))
	b.must(err)
	b.owned = append(b.owned, p)
	return p + cuda.Ptr(b.shift)
}

func asBytes[T any](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

func put[T any](b *bench, v []T) cuda.Ptr {
	raw := asBytes(v)
	p := b.alloc(int64(len(raw)))
	if len(raw) > 0 {
		b.must(b.ctx.Upload(p, raw))
	}
	return p
}

// room is memory for n results, filled with ones (NaN as floats), so that one that is never written shows.
func room[T any](b *bench, n int) cuda.Ptr {
	v := make([]T, n)
	raw := asBytes(v)
	for i := range raw {
		raw[i] = 0xff
	}
	return put(b, v)
}

func get[T any](b *bench, p cuda.Ptr, n int) []T {
	v := make([]T, n)
	if n > 0 {
		b.must(b.ctx.Download(asBytes(v), p))
	}
	return v
}

// normal gives N(0, 1).
func (b *bench) normal(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(b.rng.NormFloat64())
	}
	return v
}

func (b *bench) integers(n, lo, hi int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = lo + b.rng.IntN(hi-lo+1)
	}
	return v
}

func convert[R, T int | int8 | uint8 | int32 | int64 | float32 | float64](v []T) []R {
	out := make([]R, len(v))
	for i := range v {
		out[i] = R(v[i])
	}
	return out
}

// near demands |got − want| ≤ eps·(scale + |want|); a nil scale is 0. NaN and what
// overflows float32 must be met exactly.
func (b *bench) near(what string, got []float32, want, scale []float64, eps float64) {
	if len(got) != len(want) {
		b.fail("%s: %d results of %d", what, len(got), len(want))
	}
	for i, w := range want {
		g := float64(got[i])
		s := math.Abs(w)
		if scale != nil {
			s += scale[i]
		}
		switch {
		case w != w && g != g, g == w:
			continue
		case math.Abs(w) > math.MaxFloat32*(1-1e-6) && math.Abs(g) > math.MaxFloat32*(1-1e-5) && g*w > 0:
			continue
		case math.Abs(g-w) <= eps*s+1.2e-38:
			continue
		}
		b.fail("%s: element %d of %d is %g, want %g within %g·%g", what, i, len(want), g, w, eps, s)
	}
}

func equal[T comparable](b *bench, what string, got, want []T) {
	if len(got) != len(want) {
		b.fail("%s: %d results of %d", what, len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			b.fail("%s: element %d of %d is %v, want %v", what, i, len(want), got[i], want[i])
		}
	}
}

// open starts the double, or prints why it can't and ends the test.
func open(t *testing.T) *driver.Driver {
	t.Helper()
	if _, err := (&driver.Driver{}).Context(0); errors.Is(err, driver.ErrNoCUDA) {
		t.Skip("NOT RUN: CUDA kernels: built without the tag cuda; make cuda-test")
	}
	if os.Getenv("AIMASS_CUDA_HARDWARE") != "" { // make cuda-hw
		d, err := driver.Open()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	library, err := emulator.Build("")
	if errors.Is(err, emulator.ErrNoCompiler) {
		t.Skipf("NOT RUN: CUDA kernels: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range (emulator.Config{RaceCheck: true, MaxSteps: 50_000_000, Quiet: true}).Environ(library) {
		name, value, _ := strings.Cut(v, "=")
		if os.Getenv(name) == "" {
			os.Setenv(name, value)
		}
	}
	d, err := driver.Open()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newBench(d *driver.Driver, source func(string) ([]byte, error)) (*bench, error) {
	ctx, err := d.Context(0)
	if err != nil {
		return nil, err
	}
	return &bench{ctx: ctx, source: source, loaded: map[string]bool{}, ran: map[string]bool{}}, nil
}

func shipped(module string) ([]byte, error) { return ptx.Module(module, ptx.Baseline) }

// TestKernels runs every check and demands that they run every kernel there is.
func TestKernels(t *testing.T) {
	d := open(t)
	b, err := newBench(d, shipped)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { b.ctx.Close() }()
	ran := map[string]bool{}
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			clear(b.ran)
			if err := b.try(c); err != nil {
				t.Error(err)
				var e *driver.Error
				if errors.As(err, &e) && e.Code.Sticky() {
					b.ctx.Close()
					if b, err = newBench(d, shipped); err != nil {
						t.Fatal(err)
					}
				}
			}
			for k := range b.ran {
				ran[k] = true
			}
		})
	}
	if f := flag.Lookup("test.run"); strings.Contains(f.Value.String(), "/") {
		return // a few checks alone
	}
	for _, m := range ptx.Modules() {
		text, err := shipped(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range ptx.Entries(text) {
			if !ran[k] {
				t.Errorf("no check runs %s of %s", k, filepath.Join("cuda/kernels", m+".cu"))
			}
		}
	}
}
