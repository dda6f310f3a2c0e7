package seal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"testing"
)

// boxed opens a file of size bytes sealed in chunks, all noise or such as compresses.
func boxed(t *testing.T, size, chunk int, loud bool) (c *Content, content []byte, path string) {
	t.Helper()
	r := ring(t, "a")
	content = noise(size)
	if loud {
		for i, rng := 0, rand.New(rand.NewPCG(2, 2)); i < size; i++ {
			content[i] = byte(rng.Uint32())
		}
	}
	sealed, err := r.seal(content, chunk)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = r.BeginFile(path); err != nil {
		t.Fatal(err)
	}
	if (c.o.dec == nil) != loud {
		t.Fatalf("compressed: %v", !loud)
	}
	t.Cleanup(c.Free)
	return c, content, path
}

// TestLend: however parts are borrowed, awaited and returned by any number of goroutines, they hold what was sealed for
// as long as they may be read.
func TestLend(t *testing.T) {
	const size = 4*unitBytes + 12345
	for k, f := range []struct {
		chunk         int
		loud, holding bool
	}{{chunkSize, true, false}, {chunkSize, true, true}, {chunkSize, false, false}, {mostChunk, true, true}, {mostChunk, false, false}, {5000, true, false}} {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			c, content, _ := boxed(t, size, f.chunk, f.loud)
			var all sync.WaitGroup
			for g := range uint64(4) {
				all.Go(func() { lendAround(t, c, content, rand.New(rand.NewPCG(uint64(k), g)), f.holding) })
			}
			all.Wait()
			if err := c.Verify(); err != nil {
				t.Fatal(err)
			}
			if f.holding || c.o.drop == nil {
				return
			}
			if err := c.Borrow(c.Bytes); err != nil || !bytes.Equal(c.Bytes, content) {
				t.Fatalf("the whole: %v", err)
			}
			c.Return(c.Bytes)
			if !bytes.Equal(c.Bytes, make([]byte, size)) {
				t.Error("nobody reads it, and it takes memory")
			}
		})
	}
}

// lendAround is one reader.
func lendAround(t *testing.T, c *Content, content []byte, rng *rand.Rand, holding bool) {
	type part struct{ from, to int }
	same := func(p part) bool { return bytes.Equal(c.Bytes[p.from:p.to], content[p.from:p.to]) }
	var held []part
	for range 25 {
		from := rng.IntN(len(content))
		p := part{from, from + rng.IntN(min(len(content)-from, 2*unitBytes)+1)}
		switch {
		case rng.IntN(10) == 0:
			if err := c.Verify(); err != nil {
				t.Error(err)
			}
		case holding && rng.IntN(8) == 0:
			p.to = min(p.to, p.from+1000)
			if err := c.Await(c.Bytes[p.from:p.to]); err != nil {
				t.Error(err)
			}
			held = append(held, p)
		default:
			if err := c.Borrow(c.Bytes[p.from:p.to]); err != nil {
				t.Error(err)
			}
			ok := same(p)
			goruntime.Gosched()
			if !ok || !same(p) {
				t.Errorf("borrowed: bytes %d to %d differ", p.from, p.to)
			}
			c.Return(c.Bytes[p.from:p.to])
		}
		for _, p := range held {
			if !same(p) {
				t.Errorf("awaited: bytes %d to %d differ", p.from, p.to)
			}
		}
	}
}

// What is awaited keeps its large page, and what two have borrowed stays until both return it.
func TestReturn(t *testing.T) {
	c, content, _ := boxed(t, 4*unitBytes+100, chunkSize, true)
	if c.o.drop == nil {
		t.Skip("NOT RUN: memory is given back on Linux only")
	}
	there := func(want ...bool) {
		t.Helper()
		for u, want := range want {
			from, to := u*unitBytes, min((u+1)*unitBytes, len(content))
			got := c.Bytes[from:to]
			if want && !bytes.Equal(got, content[from:to]) || !want && !bytes.Equal(got, make([]byte, to-from)) {
				t.Errorf("unit %d: there %v", u, !want)
			}
		}
	}
	borrow := func(from, to int) []byte {
		t.Helper()
		if err := c.Borrow(c.Bytes[from:to]); err != nil {
			t.Fatal(err)
		}
		return c.Bytes[from:to]
	}
	if err := c.Verify(); err != nil {
		t.Fatal(err)
	}
	there(true, true, true, true, true)
	a, b := borrow(0, 3*unitBytes), borrow(2*unitBytes+5, 4*unitBytes)
	c.Return(a)
	there(false, false, true, true, true)
	c.Return(b)
	there(false, false, false, false, true)
	if err := c.Await(c.Bytes[unitBytes+7 : unitBytes+8]); err != nil || c.Bytes[unitBytes+7] != content[unitBytes+7] {
		t.Fatalf("awaited: %v", err)
	}
	c.Return(borrow(0, len(content)))
	there(false, true, false, false, false)
	// Two borrowers whose parts share a large page: it goes when both parts have been returned.
	c, content, _ = boxed(t, 2*unitBytes, chunkSize, true)
	if err := c.Verify(); err != nil {
		t.Fatal(err)
	}
	c.Return(borrow(0, unitBytes+unitBytes/2))
	there(false, true)
	c.Return(borrow(unitBytes+unitBytes/2, 2*unitBytes))
	there(false, false)
}

// What can't be opened again is an error for whoever asks, never zeros, and no harm to what is there; where the file
// is what it was, so is the content.
func TestLost(t *testing.T) {
	const size = 3 * unitBytes
	c, content, path := boxed(t, size, chunkSize, true)
	if c.o.drop == nil {
		t.Skip("NOT RUN: memory is given back on Linux only")
	}
	if err := errors.Join(c.Await(c.Bytes[:10]), c.Borrow(c.Bytes), c.Verify()); err != nil {
		t.Fatal(err)
	}
	c.Return(c.Bytes)
	sealed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tail := c.Bytes[size-100:]
	rewrite := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want error) {
		t.Helper()
		var readers sync.WaitGroup
		for i := range 4 {
			readers.Go(func() {
				err := c.Borrow(tail)
				if i == 0 {
					err = c.Await(tail)
				}
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
		readers.Wait()
		if err := c.Await(c.Bytes[:unitBytes]); err != nil || !bytes.Equal(c.Bytes[:unitBytes], content[:unitBytes]) {
			t.Errorf("what is there: %v", err)
		}
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-50] ^= 1
	rewrite(flipped)
	refused(ErrForged)
	rewrite(sealed[:len(sealed)-1])
	refused(ErrFormat)
	if err := c.Verify(); !errors.Is(err, ErrForged) {
		t.Errorf("whoever relies on all of it is told %v", err)
	}
	rewrite(sealed)
	if err := c.Borrow(c.Bytes); err != nil || !bytes.Equal(c.Bytes, content) {
		t.Errorf("the file as it was: %v", err)
	}
	c.Return(c.Bytes)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := c.Borrow(c.Bytes); err != nil || !bytes.Equal(c.Bytes, content) {
		t.Errorf("a file that was removed stays open: %v", err)
	}
}
