//go:build linux && (amd64 || arm64)

package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// window is the length of a piece of a model that no file may hold.
const window = 16

// pieces are those of a text that could hardly occur elsewhere by chance: they begin at every
// eighth byte and are too various to be text or zeros.
func pieces(into map[string]bool, text []byte) map[string]bool {
	for i := 0; i+window <= len(text); i += 8 {
		p := text[i : i+window]
		different, high := map[byte]bool{}, 0
		for _, c := range p {
			different[c] = true
			if c >= 0x80 {
				high++
			}
		}
		if len(different) >= 12 && high >= 4 {
			into[string(p)] = true
		}
	}
	return into
}

// carriers lists the writes that hold a piece.
func (tr *tracer) carriers(secret map[string]bool) (out []string) {
	for _, w := range tr.files {
		for i := 0; i+window <= len(w.data); i++ {
			if secret[string(w.data[i:i+window])] {
				out = append(out, w.call+" to "+w.path)
				break
			}
		}
	}
	return out
}

// secretModel has weights, and a table of random bytes, which stay recognisable in whatever
// is packed: they can't be packed.
func secretModel(t *testing.T) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(77, 1))
	weights := make([]float32, 64*64)
	for i := range weights {
		weights[i] = float32(rng.NormFloat64() / 8)
	}
	table := make([]byte, 1024*64)
	for i := range table {
		table[i] = byte(rng.Uint32())
	}
	g := build.New("secret", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(64))
	id := g.Input("id", build.Int64, build.Sym("n"))
	g.Output(g.OpAs("y", "MatMul", []string{x, g.Const("w", weights, 64, 64)}), build.Float, build.Sym("n"), build.Size(64))
	row := g.Op("Cast", []string{g.Op("Gather", []string{g.Const("table", table, 1024, 64), id})}, build.I("to", 1))
	g.Output(g.OpAs("z", "Mul", []string{row, x}), build.Float, build.Sym("n"), build.Size(64))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPlaintextNeverOnDisk traces the system calls of compressing with a key, of sealing, and
// of serving what was sealed: no file gets a piece of the model, in whatever call. That the
// tracer would see it is shown by compressing without a key.
func TestPlaintextNeverOnDisk(t *testing.T) {
	dir := t.TempDir()
	at := func(name ...string) string { return filepath.Join(append([]string{dir}, name...)...) }
	original := secretModel(t)
	for _, name := range []string{"models/secret/1", "temporary"} {
		if err := os.MkdirAll(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", at("temporary"))
	if err := os.WriteFile(at("original.onnx"), original, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run("keys", "new", at("keys"), "k"); err != nil {
		t.Fatal(err)
	}
	keys := "file:" + at("keys")
	compress := []string{"compress", at("original.onnx"), "--crop", "--quantize", "int8", "--shape", "x=1x64", "--shape", "id=1"}
	secret := pieces(map[string]bool{}, original)

	for _, form := range [][]string{nil, {"--pack"}} {
		tr, out, code, ok := trace(t, nil, append(append(compress, form...), "--out", at("open"+strings.Join(form, "")))...)
		if !ok {
			return
		}
		if code != 0 || len(tr.carriers(secret)) == 0 {
			t.Fatalf("the tracer does not see a model that is written in the open (%v): exit code %d, %d calls, %d writes\n%s", form, code, tr.calls, len(tr.files), out)
		}
	}

	check := func(what string, tr *tracer, code int, out string) {
		t.Helper()
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s", what, code, out)
		}
		for _, c := range tr.carriers(secret) {
			t.Errorf("%s: plaintext in a %s", what, c)
		}
		for _, c := range tr.unseen {
			t.Errorf("%s: %s, whose bytes can't be seen", what, c)
		}
		if tr.calls < 100 {
			t.Errorf("%s: only %d stops", what, tr.calls)
		}
	}
	sealed := at("models", "secret", "1")
	tr, out, code, _ := trace(t, nil, append(compress, "--encrypt", keys, "--out", sealed)...)
	ring, err := seal.LoadKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(sealed, "model.onnx"+seal.Suffix))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := ring.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	pieces(secret, made)
	check("compress --encrypt", tr, code, out)
	var holds bool
	for _, w := range tr.files {
		holds = holds || bytes.Contains(w.data, b[len(b)-64:])
	}
	if !holds {
		t.Error("the tracer did not see the sealed file being written")
	}

	if err := os.WriteFile(at("copy.onnx"), original, 0o600); err != nil {
		t.Fatal(err)
	}
	tr, out, code, _ = trace(t, nil, "keys", "seal", "--keys", keys, at("copy.onnx"))
	check("keys seal", tr, code, out)

	addr := net.JoinHostPort("127.0.0.1", freePort(t))
	answered := make(chan string, 1)
	tr, out, code, _ = trace(t, func(pid int) { answered <- askOnce(addr, pid) }, "serve", "--models", at("models"), "--model-keys", keys,
		"--http", addr, "--grpc", "off", "--metrics", "off", "--log-dir", at("log"), "--access-log", "--grace", "10ms")
	check("serve", tr, code, out)
	if a := <-answered; !strings.Contains(a, `"name":"y"`) {
		t.Errorf("the sealed model answered %q\n%s", a, out)
	}
	left, _ := os.ReadDir(at("temporary"))
	if len(left) != 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

// askOnce waits until the traced server is ready, asks the model once, and ends the server.
func askOnce(addr string, pid int) (answer string) {
	defer func() { _ = syscall.Kill(pid, syscall.SIGTERM) }()
	ones := strings.TrimSuffix(strings.Repeat("1,", 64), ",")
	body := `{"inputs":[{"name":"x","shape":[1,64],"datatype":"FP32","data":[` + ones + `]},{"name":"id","shape":[1],"datatype":"INT64","data":[5]}]}`
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Post("http://"+addr+"/v2/models/secret/infer", "application/json", strings.NewReader(body))
		if err != nil {
			continue
		}
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		resp.Body.Close()
		if answer = b.String(); resp.StatusCode == http.StatusOK {
			return answer
		}
	}
	return answer
}
