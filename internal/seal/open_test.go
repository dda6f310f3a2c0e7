package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// sealedFile writes n bytes of noise sealed, with a change to them if there is one.
func sealedFile(t *testing.T, r *Keyring, n int, change func(sealed []byte)) (path string, content []byte) {
	t.Helper()
	content = noise(n)
	sealed, err := r.Seal(content)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(sealed)
	}
	path = filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// What was awaited is there, in any order and by any number of goroutines.
func TestAwait(t *testing.T) {
	r := ring(t, "a")
	const size = 5*unitBytes + 12345
	path, content := sealedFile(t, r, size, nil)
	for round := range uint64(2) {
		c, err := r.BeginFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range uint64(4) {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(round, g))
				for range 20 {
					from := rng.IntN(size)
					to := from + rng.IntN(min(size-from, 2*unitBytes)+1)
					if err := c.Await(c.Bytes[from:to]); err != nil {
						t.Error(err)
					}
					if !bytes.Equal(c.Bytes[from:to], content[from:to]) {
						t.Errorf("bytes %d to %d differ", from, to)
					}
				}
			})
		}
		wg.Wait()
		if err := c.Await(content); err != nil { // which is elsewhere
			t.Error(err)
		}
		if err := c.Verify(); err != nil || !bytes.Equal(c.Bytes, content) {
			t.Errorf("the whole: %v", err)
		}
		c.Free()
	}
}

// A forged chunk leaves zeros, keeps nobody waiting, and fails the whole.
func TestAwaitForged(t *testing.T) {
	r := ring(t, "a")
	const size = 3 * unitBytes
	path, content := sealedFile(t, r, size, func(sealed []byte) { sealed[len(sealed)-chunkSize/2] ^= 1 })
	c, err := r.BeginFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Await(c.Bytes); err != nil {
		t.Error(err)
	}
	if err := c.Verify(); !errors.Is(err, ErrForged) {
		t.Errorf("got %v, want %v", err, ErrForged)
	}
	if last := c.Bytes[size-chunkSize:]; !bytes.Equal(last, make([]byte, chunkSize)) {
		t.Error("the forged chunk was given")
	}
	for i, b := range c.Bytes {
		if b != 0 && b != content[i] {
			t.Fatalf("byte %d is neither the content's nor 0", i)
		}
	}
	c.Free()
}

// What is freed early stops, and lets go of its file.
func TestFreeEarly(t *testing.T) {
	r := ring(t, "a")
	path, _ := sealedFile(t, r, 8*unitBytes, nil)
	for range 20 {
		c, err := r.BeginFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c.Free()
		if _, err := c.o.file.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Fatalf("the file: %v", err)
		}
	}
}
