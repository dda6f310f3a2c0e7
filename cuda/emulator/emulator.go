// Package emulator is the tests' double of NVIDIA's driver: a libcuda.so.1 that executes
// the PTX it is given, and a libnvidia-ml.so.1 that reports the same devices. It shows
// that host code and kernels are right on a machine without a GPU; it knows nothing of
// time. Nothing outside tests builds or ships it.
//
// Neighbours: cuda/driver opens the library that AIMASS_CUDA_LIBRARY names and cuda/nvml
// the one of AIMASS_NVML_LIBRARY; cuda/kernel and runtime/gpu are what is tested with it.
// The C++ sources lie in src (src/README.md says which file holds what).
//
// Build is safe for concurrent use, of several processes too. A Config or State may be
// used by several goroutines at once.
//
// # What it is strict about
//
// Device pointers are not canonical on the host, and never used twice. Each allocation
// has exact bounds, is filled with 0xCD, and with 0xDD when freed. A kernel that reads or
// writes elsewhere, misaligned, or on a device without peer access is refused, with the
// kernel, the thread and the line of the PTX. So are barriers and shuffles that not every
// thread reaches, and unknown instructions (at load, error 218). Streams do nothing until
// something waits for them, graphs run in the worst order that their edges allow, cp.async
// lands when it is waited for. Memory of a pool may be used by work behind its allocation and by
// nothing that was enqueued after its free, and by other devices only where cuMemPoolSetAccess says so. After an error that poisons a
// context (700, 719, …) each call on it fails the same way.
//
// # Settings
//
// In the environment when the library is opened, each with the prefix AIMASS_EMU_:
//
//	DEVICES     number of devices (1)
//	MEM_MB      memory of a device in MiB, a list by device (4096)
//	SM          compute capability, a list by device (80)
//	DRIVER      driver version (13000)
//	THREADS     host threads that run a kernel's blocks (all cores)
//	EAGER       1: streams run at once
//	RACECHECK   1: accesses to shared memory with no barrier between them are refused (719)
//	NOPEER      1: no peer access; or pairs, 0-1,2-3
//	POOLS       0: the devices have no stream-ordered memory pools
//	MAX_STEPS   warp instructions of a block after which a launch has timed out (702)
//	FAIL        faults, device:op:n:code[:always] and commas between: the n-th op fails with
//	            that code (then always, if it says so). device may be *. Ops: launch, alloc,
//	            hostalloc, h2d, d2h, d2d, peer, memset, sync, module, graph, graphlaunch,
//	            stream, event, context; any counts every entry point. A code that poisons
//	            happens when the stream reaches the operation, others fail the call.
//	STATE       a file through which a test reads counters and changes settings (State)
//	LOG         1: each call and its result on stderr
//	QUIET       1: refusals are not printed on stderr
//
// The NVML double reads DEVICES, MEM_MB, SM, NOPEER, STATE and NVML_… (src/nvml.cpp).
package emulator

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
)

//go:embed src/*.cpp src/*.h
var sources embed.FS

// ErrNoCompiler means that there is no g++ on this machine, or that the processor lacks
// what the interpreter is compiled for: tests print NOT RUN.
var ErrNoCompiler = errors.New("no g++ to build the CUDA emulator")

// flags: floats must round as PTX says, so no contraction; signed integers wrap.
var flags = []string{"-std=c++17", "-mavx2", "-mfma", "-mf16c", "-fwrapv", "-ffp-contract=off", "-fno-strict-aliasing", "-fPIC", "-fvisibility=hidden", "-Wall"}

// optimise is for what runs per instruction; the rest is compiled for a short build.
func optimise(unit string) string {
	if strings.HasPrefix(unit, "ops_") || unit == "exec.cpp" || unit == "race.cpp" {
		return "-O3"
	}
	return "-O1"
}

var building sync.Mutex

// Build compiles the double into a folder under dir named by the content of its sources,
// unless it is there, and returns the full path of libcuda.so.1; libnvidia-ml.so.1 lies
// beside it (NVML). An empty dir is the user's cache folder.
func Build(dir string) (string, error) {
	building.Lock()
	defer building.Unlock()
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("finding the cache folder: %w", err)
		}
		dir = filepath.Join(cache, "aimass-cuda-emulator")
	}
	gxx, err := exec.LookPath("g++")
	if err != nil {
		return "", ErrNoCompiler
	}
	names, key, err := contents()
	if err != nil {
		return "", err
	}
	dir, err = filepath.Abs(filepath.Join(dir, key))
	if err != nil {
		return "", err
	}
	library := filepath.Join(dir, "libcuda.so.1")
	if _, err := os.Stat(library); err == nil {
		return library, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	// Another process may build the same: each in its own folder, the first rename stays.
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := compile(gxx, tmp, names); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(library); there != nil {
			return "", err
		}
	}
	return library, nil
}

// NVML is the path of the NVML double that Build has put beside a libcuda.so.1.
func NVML(library string) string { return filepath.Join(filepath.Dir(library), "libnvidia-ml.so.1") }

// contents lists the sources and hashes them with the flags.
func contents() ([]string, string, error) {
	entries, err := fs.ReadDir(sources, "src")
	if err != nil {
		return nil, "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, flags)
	var names []string
	for _, e := range entries {
		b, err := sources.ReadFile(path.Join("src", e.Name()))
		if err != nil {
			return nil, "", err
		}
		fmt.Fprintln(h, e.Name(), len(b))
		h.Write(b)
		names = append(names, e.Name())
	}
	sort.Strings(names)
	return names, hex.EncodeToString(h.Sum(nil))[:16], nil
}

func compile(gxx, dir string, names []string) error {
	src := filepath.Join(dir, "src")
	if err := os.Mkdir(src, 0o755); err != nil {
		return err
	}
	var units []string
	for _, n := range names {
		b, err := sources.ReadFile(path.Join("src", n))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(src, n), b, 0o644); err != nil {
			return err
		}
		if strings.HasSuffix(n, ".cpp") {
			units = append(units, n)
		}
	}
	run := func(args ...string) error {
		cmd := exec.Command(gxx, args...)
		cmd.Dir = src
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building the CUDA emulator: g++ %s: %w\n%s", args[len(args)-1], err, out)
		}
		return nil
	}
	var wg sync.WaitGroup
	errs := make([]error, len(units))
	slots := make(chan struct{}, 2)
	for i, u := range units {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = run(append(append([]string{}, flags...), optimise(u), "-c", u)...)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var objects []string
	for _, u := range units {
		if u != "nvml.cpp" {
			objects = append(objects, strings.TrimSuffix(u, ".cpp")+".o")
		}
	}
	link := func(name string, objects ...string) error {
		args := []string{"-shared", "-Wl,-soname," + name, "-Wl,-z,defs", "-o", filepath.Join(dir, name)}
		return run(append(append(args, objects...), "-lpthread", "-ldl")...)
	}
	if err := link("libnvidia-ml.so.1", "nvml.o"); err != nil {
		return err
	}
	if err := link("libcuda.so.1", objects...); err != nil {
		return err
	}
	return os.RemoveAll(src)
}

// Config is what a process that uses the double is told. Zero values are the defaults of
// the package comment.
type Config struct {
	Devices   int
	NoDevices bool // a driver that finds no device
	MemoryMiB []int
	SM        []int
	Threads   int
	Eager     bool
	RaceCheck bool
	NoPeer    string
	MaxSteps  int64
	Fail      string
	State     string   // path of the state file
	Quiet     bool     // do not print refusals
	Extra     []string // further NAME=value without the prefix, such as NVML_LOST=0
}

// Environ lists the variables, NAME=value, that make a process use the double whose
// libcuda.so.1 Build has returned.
func (c Config) Environ(library string) []string {
	env := []string{"AIMASS_CUDA_LIBRARY=" + library, "AIMASS_NVML_LIBRARY=" + NVML(library)}
	set := func(name, value string) {
		if value != "" {
			env = append(env, "AIMASS_EMU_"+name+"="+value)
		}
	}
	number := func(name string, v int64) {
		if v != 0 {
			set(name, strconv.FormatInt(v, 10))
		}
	}
	truth := func(name string, v bool) {
		if v {
			set(name, "1")
		}
	}
	list := func(name string, v []int) {
		set(name, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(v)), ","), "[]"))
	}
	number("DEVICES", int64(c.Devices))
	if c.NoDevices {
		set("DEVICES", "0")
	}
	list("MEM_MB", c.MemoryMiB)
	list("SM", c.SM)
	number("THREADS", int64(c.Threads))
	truth("EAGER", c.Eager)
	truth("RACECHECK", c.RaceCheck)
	set("NOPEER", c.NoPeer)
	number("MAX_STEPS", c.MaxSteps)
	set("FAIL", c.Fail)
	set("STATE", c.State)
	truth("QUIET", c.Quiet)
	for _, e := range c.Extra {
		env = append(env, "AIMASS_EMU_"+e)
	}
	return env
}
