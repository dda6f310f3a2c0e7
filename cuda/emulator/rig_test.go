package emulator

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// rig is a process that has the double loaded and calls what a test asks for.
type rig struct {
	t     *testing.T
	in    io.WriteCloser
	out   *bufio.Reader
	state *State
	ctx   []uint64 // a context on each device
}

// runnerDir is set once there is a runner.
var runnerDir string

var build = sync.OnceValues(func() ([2]string, error) {
	library, err := Build("")
	if err != nil {
		return [2]string{}, err
	}
	dir, err := os.MkdirTemp("", "emulator-runner-")
	if err != nil {
		return [2]string{}, err
	}
	runnerDir = dir
	runner := filepath.Join(dir, "runner")
	if out, err := exec.Command("g++", "-std=c++17", "-O1", "-o", runner, "testdata/runner.cpp", "-ldl").CombinedOutput(); err != nil {
		return [2]string{}, fmt.Errorf("%w: %s", err, out)
	}
	return [2]string{library, runner}, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if runnerDir != "" {
		os.RemoveAll(runnerDir)
	}
	os.Exit(code)
}

// process starts a runner of a library beside libcuda.so.1.
func process(t *testing.T, name string, c Config) *rig {
	t.Helper()
	paths, err := build()
	if errors.Is(err, ErrNoCompiler) {
		t.Skip("NOT RUN: " + err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	c.State = filepath.Join(t.TempDir(), "state")
	c.Quiet = true
	state, err := OpenState(c.State)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(paths[1], filepath.Join(filepath.Dir(paths[0]), name))
	cmd.Env = append(os.Environ(), c.Environ(paths[0])...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the runner ended badly: %v", err)
		}
		state.Close()
	})
	return &rig{t: t, in: in, out: bufio.NewReader(out), state: state}
}

// start opens the driver with a context on each device; the last is current.
func start(t *testing.T, c Config) *rig {
	t.Helper()
	r := process(t, "libcuda.so.1", c)
	r.ok("cuInit", 0)
	p := r.mem(8)
	for d := range max(1, c.Devices) {
		r.ok("cuCtxCreate_v2", p, 0, uint64(d))
		r.ctx = append(r.ctx, r.word(p))
	}
	return r
}

func (r *rig) ask(format string, args ...any) string {
	r.t.Helper()
	if _, err := fmt.Fprintf(r.in, format+"\n", args...); err != nil {
		r.t.Fatal(err)
	}
	s, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatalf("the runner died: %v", err)
	}
	return strings.TrimSuffix(s, "\n")
}

func (r *rig) number(s string) uint64 {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *rig) mem(n int) uint64 { return r.number(r.ask("mem %x", n)) }

func (r *rig) write(at uint64, b []byte) {
	if len(b) > 0 {
		r.ask("write %x %s", at, hex.EncodeToString(b))
	}
}

func (r *rig) read(at uint64, n int) []byte {
	b, err := hex.DecodeString(r.ask("read %x %x", at, n))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) word(at uint64) uint64 { return binary.LittleEndian.Uint64(r.read(at, 8)) }
func (r *rig) int(at uint64) int     { return int(int32(binary.LittleEndian.Uint32(r.read(at, 4)))) }

// call returns the result code.
func (r *rig) call(name string, args ...uint64) int {
	var b strings.Builder
	for _, a := range args {
		fmt.Fprintf(&b, " %x", a)
	}
	return int(int32(r.number(r.ask("call %s%s", name, b.String()))))
}

func (r *rig) ok(name string, args ...uint64) {
	r.t.Helper()
	r.want(0, name, args...)
}

func (r *rig) want(code int, name string, args ...uint64) {
	r.t.Helper()
	if got := r.call(name, args...); got != code {
		why, _ := r.state.Refusal()
		r.t.Fatalf("%s: result %d, want %d (last refusal: %s)", name, got, code, why)
	}
}

// refused wants the last refusal to hold every one of parts.
func (r *rig) refused(parts ...string) {
	r.t.Helper()
	why, _ := r.state.Refusal()
	for _, p := range parts {
		if !strings.Contains(why, p) {
			r.t.Errorf("refusal %q does not say %q", why, p)
		}
	}
}

func (r *rig) cstring(s string) uint64 {
	p := r.mem(len(s) + 1)
	r.write(p, []byte(s))
	return p
}

const head = ".version 8.0\n.target sm_80\n.address_size 64\n"

// load returns the code of loading a module, and the module.
func (r *rig) load(ptx string) (int, uint64) {
	p := r.mem(8)
	code := r.call("cuModuleLoadData", p, r.cstring(head+ptx))
	return code, r.word(p)
}

// kernel loads a module and finds its kernel k.
func (r *rig) kernel(ptx string) uint64 {
	r.t.Helper()
	code, m := r.load(ptx)
	if code != 0 {
		why, _ := r.state.Refusal()
		r.t.Fatalf("load: %d: %s", code, why)
	}
	return r.find(m, "k")
}

func (r *rig) find(module uint64, name string) uint64 {
	r.t.Helper()
	p := r.mem(8)
	r.ok("cuModuleGetFunction", p, module, r.cstring(name))
	return r.word(p)
}

func (r *rig) alloc(n int) uint64 {
	r.t.Helper()
	p := r.mem(8)
	r.ok("cuMemAlloc_v2", p, uint64(n))
	return r.word(p)
}

func (r *rig) upload(b []byte) uint64 {
	r.t.Helper()
	d, h := r.alloc(len(b)), r.mem(len(b))
	r.write(h, b)
	r.ok("cuMemcpyHtoD_v2", d, h, uint64(len(b)))
	return d
}

func (r *rig) download(d uint64, n int) []byte {
	r.t.Helper()
	h := r.mem(n)
	r.ok("cuMemcpyDtoH_v2", h, d, uint64(n))
	return r.read(h, n)
}

// params lays out boxed parameters and their pointers.
func (r *rig) params(args ...uint64) uint64 {
	box, list := make([]byte, 8*len(args)), make([]byte, 8*len(args))
	p := r.mem(16 * len(args))
	for i, a := range args {
		binary.LittleEndian.PutUint64(box[8*i:], a)
		binary.LittleEndian.PutUint64(list[8*i:], p+8*uint64(i))
	}
	r.write(p, box)
	r.write(p+8*uint64(len(args)), list)
	return p + 8*uint64(len(args))
}

type dims struct{ grid, block, shared uint64 }

func (r *rig) launchOn(stream, f uint64, d dims, args ...uint64) int {
	return r.call("cuLaunchKernel", f, d.grid, 1, 1, d.block, 1, 1, d.shared, stream, r.params(args...), 0)
}

// run launches and waits; the code is the first that is not 0.
func (r *rig) run(f uint64, d dims, args ...uint64) int {
	if code := r.launchOn(0, f, d, args...); code != 0 {
		return code
	}
	return r.call("cuCtxSynchronize")
}

func words(v ...uint32) []byte {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], x)
	}
	return b
}

func longs(v ...uint64) []byte {
	b := make([]byte, 8*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint64(b[8*i:], x)
	}
	return b
}

func asWords(b []byte) []uint32 {
	v := make([]uint32, len(b)/4)
	for i := range v {
		v[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return v
}

func asLongs(b []byte) []uint64 {
	v := make([]uint64, len(b)/8)
	for i := range v {
		v[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return v
}
