package encoding

import (
	"bytes"
	stdgzip "compress/gzip"
	stdzlib "compress/zlib"
	"io"
	"math/rand/v2"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/aimass/aimass/api"
)

func TestRoundTrip(t *testing.T) {
	var s Set
	rng := rand.New(rand.NewPCG(1, 1))
	for _, size := range []int{0, 1, 100, 4096, 1 << 20} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte(rng.IntN(7)) * byte(rng.IntN(2))
		}
		for k := Zstd; k < kinds; k++ {
			for range 3 { // pooled ones too
				packed, err := s.AppendCompressed([]byte("head"), k, body)
				if err != nil {
					t.Fatal(err)
				}
				if string(packed[:4]) != "head" || size > 1000 && len(packed) > size*3/4 {
					t.Errorf("%s: %d bytes of %d", k, len(packed), size)
				}
				back, err := s.AppendDecompressed([]byte("dst"), k, packed[4:], size, "--x")
				if err != nil || string(back[:3]) != "dst" || !bytes.Equal(back[3:], body) {
					t.Fatalf("%s, %d bytes: %v", k, size, err)
				}
			}
		}
	}
}

// TestOtherImplementations: what the standard library writes is read, and it reads what is written.
func TestOtherImplementations(t *testing.T) {
	var s Set
	text := []byte(strings.Repeat("hello, ", 1000))
	var gz, zl bytes.Buffer
	g := stdgzip.NewWriter(&gz)
	g.Write(text)
	g.Close()
	z := stdzlib.NewWriter(&zl)
	z.Write(text)
	z.Close()
	for k, packed := range map[Kind][]byte{Gzip: gz.Bytes(), Deflate: zl.Bytes()} {
		if back, err := s.AppendDecompressed(nil, k, packed, 1<<20, ""); err != nil || !bytes.Equal(back, text) {
			t.Errorf("%s: %v", k, err)
		}
	}
	packed, _ := s.AppendCompressed(nil, Gzip, text)
	r, err := stdgzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, text) {
		t.Errorf("gzip: %v", err)
	}
	packed, _ = s.AppendCompressed(nil, Deflate, text)
	r2, err := stdzlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(r2); err != nil || !bytes.Equal(back, text) {
		t.Errorf("deflate: %v", err)
	}
}

func TestLimit(t *testing.T) {
	var s Set
	const size = 64 << 20
	for k := Zstd; k < kinds; k++ {
		bomb := packZeros(t, k, size)
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		_, err := s.AppendDecompressed(nil, k, bomb, 1<<20, "--http-max-input-size")
		goruntime.ReadMemStats(&after)
		if api.CodeOf(err) != api.CodeBodyTooLarge || !strings.Contains(err.Error(), "--http-max-input-size") {
			t.Errorf("%s: %v", k, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 24<<20 {
			t.Errorf("%s: took %d MiB to refuse %d compressed bytes", k, used>>20, len(bomb))
		}
		exact := packZeros(t, k, 1000)
		if _, err := s.AppendDecompressed(nil, k, exact, 999, ""); api.CodeOf(err) != api.CodeBodyTooLarge {
			t.Errorf("%s: one byte above the limit: %v", k, err)
		}
		if back, err := s.AppendDecompressed(nil, k, exact, 1000, ""); err != nil || len(back) != 1000 {
			t.Errorf("%s: at the limit: %v", k, err)
		}
	}
}

func packZeros(t *testing.T, k Kind, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := newWriter(k)
	if err != nil {
		t.Fatal(err)
	}
	w.Reset(&out)
	zeros := make([]byte, 1<<20)
	for size > 0 {
		n := min(size, len(zeros))
		if _, err := w.Write(zeros[:n]); err != nil {
			t.Fatal(err)
		}
		size -= n
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestHugeWindowIsRefused(t *testing.T) {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.NewChaCha8([32]byte{1})
	io.CopyN(w, rng, 1<<20)
	w.Close()
	var s Set
	if _, err := s.AppendDecompressed(nil, Zstd, out.Bytes(), 128<<20, ""); api.CodeOf(err) != api.CodeDecompressionFailed {
		t.Errorf("a window of 64 MiB: %v", err)
	}
}

func TestDamaged(t *testing.T) {
	var s Set
	for k := Zstd; k < kinds; k++ {
		packed, _ := s.AppendCompressed(nil, k, bytes.Repeat([]byte("abc"), 10000))
		cut := packed[:len(packed)/2]
		for name, body := range map[string][]byte{"cut": cut, "empty": nil, "garbage": []byte("no compressed data at all")} {
			if name == "empty" && k == Zstd {
				continue // no frames at all are a valid zstd stream of nothing
			}
			if _, err := s.AppendDecompressed(nil, k, body, 1<<20, ""); api.CodeOf(err) != api.CodeDecompressionFailed {
				t.Errorf("%s, %s: %v", k, name, err)
			}
		}
		if back, err := s.AppendDecompressed(nil, k, packed, 1<<20, ""); err != nil || len(back) != 30000 {
			t.Errorf("%s: after failures: %v", k, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	f := func(header string, want Kind) {
		t.Helper()
		if got := Negotiate([]byte(header)); got != want {
			t.Errorf("Accept-Encoding %q: %s, want %s", header, got, want)
		}
	}
	f("", Identity)
	f("gzip", Gzip)
	f("deflate", Deflate)
	f("GZIP, Deflate", Gzip)
	f("gzip, deflate, br, zstd", Zstd)
	f("gzip;q=0.5, deflate;q=0.8", Deflate)
	f("gzip; q=0", Identity)
	f("gzip;q=x", Identity)
	f("gzip;q=2", Identity)
	f("*", Zstd)
	f("zstd;q=0, *;q=0.1", Gzip)
	f("br", Identity)
	f("identity", Identity)

	g := func(header string, want Kind, code api.Code) {
		t.Helper()
		if got, err := Parse([]byte(header)); got != want || api.CodeOf(err) != code {
			t.Errorf("Content-Encoding %q: %s, %v", header, got, err)
		}
	}
	g("", Identity, "")
	g("identity", Identity, "")
	g(" GZip ", Gzip, "")
	g("deflate", Deflate, "")
	g("zstd", Zstd, "")
	g("br", Identity, api.CodeUnsupportedEncoding)
	g("gzip, gzip", Identity, api.CodeUnsupportedEncoding)
}

func TestConcurrentUse(t *testing.T) {
	var s Set
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte(g), 1, 2, 3}, 1000+g)
			for i := range 50 {
				k := Kind(i%3) + Zstd
				packed, err := s.AppendCompressed(nil, k, body)
				if err != nil {
					t.Error(err)
					return
				}
				back, err := s.AppendDecompressed(nil, k, packed, 1<<20, "")
				if err != nil || !bytes.Equal(back, body) {
					t.Errorf("%s: %v", k, err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzDecompress(f *testing.F) {
	var s Set
	for k := Zstd; k < kinds; k++ {
		packed, _ := s.AppendCompressed(nil, k, []byte("some text, some text"))
		f.Add(uint8(k), packed)
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		k := Kind(kind%3) + Zstd
		out, err := s.AppendDecompressed(nil, k, body, 1<<16, "")
		if err == nil && len(out) > 1<<16 {
			t.Fatal("above the limit")
		}
		if err != nil && api.CodeOf(err) != api.CodeDecompressionFailed && api.CodeOf(err) != api.CodeBodyTooLarge {
			t.Fatal(err)
		}
	})
}
