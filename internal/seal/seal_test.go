package seal

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"
)

func ring(t testing.TB, ids ...string) *Keyring {
	t.Helper()
	var text strings.Builder
	for _, id := range ids {
		line, err := NewKey(id)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(line)
	}
	r, err := ParseKeyring(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// noise gives n bytes, of which every second stretch can be compressed.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		if i/1000%2 == 0 {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	r := ring(t, "a", "b")
	f := func(content []byte) {
		t.Helper()
		sealed, err := r.Seal(content)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := KeyID(sealed); err != nil || id != "b" {
			t.Errorf("sealed for %q, %v; the newest is b", id, err)
		}
		if len(content) > 64 && bytes.Contains(sealed, content[:32]) {
			t.Error("the content can be read")
		}
		got, err := r.Open(sealed)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d, %v", len(content), len(got), err)
		}
	}
	for _, n := range []int{0, 1, 1000, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 17} {
		f(noise(n))
	}
	incompressible := make([]byte, chunkSize+5)
	for i, r := 0, rand.New(rand.NewPCG(3, 3)); i < len(incompressible); i++ {
		incompressible[i] = byte(r.Uint32())
	}
	f(incompressible)
}

// Containers with chunks of any size that is allowed open, those of other versions among them.
func TestOtherChunks(t *testing.T) {
	r := ring(t, "a")
	content := noise(mostChunk + 12345)
	for _, size := range []int{leastChunk, 5000, mostChunk} {
		sealed, err := r.seal(content, size)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Open(sealed); err != nil || !bytes.Equal(got, content) {
			t.Errorf("chunks of %d bytes: %d bytes came back as %d, %v", size, len(content), len(got), err)
		}
	}
	for _, size := range []int{leastChunk - 1, mostChunk + 1} {
		sealed, err := r.seal(content, size)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(sealed); !errors.Is(err, ErrFormat) {
			t.Errorf("chunks of %d bytes: %v", size, err)
		}
	}
}

// Equal content must not look equal: each container has a data key of its own.
func TestSealedTwiceDiffers(t *testing.T) {
	r := ring(t, "a")
	a, _ := r.Seal(noise(5000))
	b, _ := r.Seal(noise(5000))
	if bytes.Equal(a[len(a)-2000:], b[len(b)-2000:]) {
		t.Error("two containers of one content are equal")
	}
}

func TestEveryBitCounts(t *testing.T) {
	r := ring(t, "key-1")
	for _, content := range [][]byte{noise(700), bytes.Repeat([]byte("abc"), 300)} {
		sealed, err := r.Seal(content)
		if err != nil {
			t.Fatal(err)
		}
		for i := range sealed {
			for bit := range 8 {
				sealed[i] ^= 1 << bit
				if got, err := r.Open(sealed); err == nil || got != nil {
					t.Fatalf("bit %d of byte %d of %d may be flipped", bit, i, len(sealed))
				}
				sealed[i] ^= 1 << bit
			}
		}
		for n := range sealed {
			if _, err := r.Open(sealed[:n]); err == nil {
				t.Fatalf("%d of %d bytes are taken for the whole", n, len(sealed))
			}
		}
		if _, err := r.Open(append(sealed, 0)); !errors.Is(err, ErrFormat) {
			t.Errorf("a byte too many: %v", err)
		}
	}
}

func TestChunksKeepTheirPlaces(t *testing.T) {
	r := ring(t, "a")
	content := make([]byte, 2*chunkSize)
	for i, g := 0, rand.New(rand.NewPCG(5, 5)); i < len(content); i++ {
		content[i] = byte(g.Uint32())
	}
	sealed, err := r.Seal(content)
	if err != nil {
		t.Fatal(err)
	}
	h, _, at, err := parse(sealed, int64(len(sealed)))
	if err != nil {
		t.Fatal(err)
	}
	spans, err := split(bytes.NewReader(sealed), int64(at), int64(len(sealed)), h)
	if err != nil || spans[0].n != spans[1].n {
		t.Fatalf("chunks at %v, %v", spans, err)
	}
	var c [2][]byte
	for i, s := range spans {
		c[i] = sealed[s.at : s.at+int64(s.n)]
	}
	first := bytes.Clone(c[0])
	copy(c[0], c[1])
	copy(c[1], first)
	if _, err := r.Open(sealed); !errors.Is(err, ErrForged) {
		t.Errorf("two chunks changed places: %v", err)
	}
}

func TestKeys(t *testing.T) {
	old := ring(t, "2026-01")
	sealed, err := old.Seal([]byte("weights"))
	if err != nil {
		t.Fatal(err)
	}
	other := ring(t, "2026-01")
	if _, err := other.Open(sealed); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "2026-01") {
		t.Errorf("another key of that name: %v", err)
	}
	if _, err := ring(t, "2026-02").Open(sealed); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "2026-02") {
		t.Errorf("no key of that name: %v", err)
	}
	if _, err := (*Keyring)(nil).Open(sealed); !errors.Is(err, ErrKey) {
		t.Errorf("no keys: %v", err)
	}

	rotated := &Keyring{keys: append(append([]key(nil), old.keys...), ring(t, "2026-02").keys...)}
	again, changed, err := rotated.Rewrap(sealed)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	newest := &Keyring{keys: rotated.keys[1:]}
	if got, err := newest.Open(again); err != nil || string(got) != "weights" {
		t.Errorf("after the rotation: %q, %v", got, err)
	}
	if _, err := old.Open(again); !errors.Is(err, ErrKey) {
		t.Errorf("the old key still opens it: %v", err)
	}
	if _, changed, err := rotated.Rewrap(again); err != nil || changed {
		t.Errorf("wrapped for the newest already: changed %v, %v", changed, err)
	}
}

func TestKeySources(t *testing.T) {
	line, err := NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(p, []byte("# ours\n\n"+line), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AIMASS_TEST_KEYS", line)
	good := func(source string) {
		t.Helper()
		r, err := LoadKeyring(source)
		if err != nil || len(r.IDs()) != 1 || r.IDs()[0] != "k1" {
			t.Errorf("%s: %v, %v", source, r.IDs(), err)
		}
	}
	bad := func(source, want string) {
		t.Helper()
		_, err := LoadKeyring(source)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", source, err, want)
		}
		if err != nil && strings.Contains(err.Error(), strings.Fields(line)[1]) {
			t.Errorf("%s: the error holds the key", source)
		}
	}
	good("file:" + p)
	good("env:AIMASS_TEST_KEYS")
	good("command:cat " + p)
	if err := os.Chmod(p, 0o644); err != nil {
		t.Fatal(err)
	}
	bad("file:"+p, "chmod 600")
	bad("file:"+p+"-none", "key file")
	bad("env:AIMASS_TEST_NONE", "no AIMASS_TEST_NONE")
	bad("command:/no/such/program", "no such file")
	bad("command:cat /dev/zero", "more than")
	bad("command:false", "exit status 1")
	bad("command:echo k1 short", "line 1")
	bad("vault", "file:PATH, env:NAME or command:LINE")
	bad("kms:x", "file:PATH, env:NAME or command:LINE")
	if _, err := ParseKeyring(strings.NewReader(line + line)); err == nil {
		t.Error("a key may be there twice")
	}
	if _, err := NewKey("two words"); err == nil {
		t.Error("a name with a space")
	}
}

// TestOpenFile: a file opens as its bytes do, and is refused as they are.
func TestOpenFile(t *testing.T) {
	r := ring(t, "a")
	path := filepath.Join(t.TempDir(), "f")
	for _, n := range []int{0, 1, chunkSize, 2*chunkSize + 5} {
		content := bytes.Repeat([]byte("weights "), n/8+1)[:n]
		sealed, err := r.Seal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := r.OpenFile(path)
		if err != nil || !bytes.Equal(c.Bytes, content) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		c.Free()
		c.Free()
		sealed[len(sealed)-1] ^= 1
		if err := os.WriteFile(path, sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.OpenFile(path); n > 0 && !errors.Is(err, ErrForged) {
			t.Errorf("%d bytes, a bit flipped: %v", n, err)
		}
		if err := os.Truncate(path, int64(len(sealed)-1)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.OpenFile(path); !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes, cut short: %v", n, err)
		}
	}
	if _, err := r.OpenFile(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f, "k")
	for _, n := range []int{0, 10, 3000} {
		b, err := r.Seal(noise(n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := r.Open(b); err != nil && got != nil {
			t.Error("an error, and content")
		}
		_, _, _ = r.Rewrap(b)
	})
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b, "k")
	content := make([]byte, 64<<20)
	for i, g := 0, rand.New(rand.NewPCG(5, 5)); i < len(content); i++ {
		content[i] = byte(g.Uint32())
	}
	sealed, err := r.Seal(content)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := r.Open(sealed); err != nil {
			b.Fatal(err)
		}
	}
}

// runs reports whether the process whose number is in a file lives.
func runs(t *testing.T, file string) bool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// TestKeyCommandThatHangs: a key service that does not answer is given up.
func TestKeyCommandThatHangs(t *testing.T) {
	if _, err := runKeyCommand("sleep 600", 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end within 20ms") {
		t.Error(err)
	}
	script := filepath.Join(t.TempDir(), "kms")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 5 &\necho $! >"+script+".pid\necho keys\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if b, err := runKeyCommand(script, time.Minute); err != nil || string(b) != "keys\n" {
		t.Errorf("one that leaves a process: %q %v", b, err)
	}
	if goruntime.GOOS == "linux" && !runs(t, script+".pid") {
		t.Error("the agent that a command has left was killed")
	}
	hangs := "#!/bin/sh\nsetsid sh -c 'echo $$ >" + script + ".new; mv " + script + ".new " + script + ".pid; sleep 300; true' &\nsleep 300\n"
	if err := os.WriteFile(script, []byte(hangs), 0o700); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(script + ".pid")
	if _, err := runKeyCommand(script, 2*time.Second); err == nil || goruntime.GOOS == "linux" && runs(t, script+".pid") {
		t.Errorf("what a command that hung has started lives on: %v", err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := runKeyCommand(script, time.Minute); err == nil || !strings.Contains(err.Error(), "exit status 3: xxx") || len(err.Error()) > 1000 {
		t.Errorf("one that complains at length: %.2000v", err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho AAAA\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeyring("command:" + script + " --token secret"); err == nil || !strings.Contains(err.Error(), script) || strings.Contains(err.Error(), "secret") {
		t.Errorf("one that prints no keys: %v", err)
	}
}
