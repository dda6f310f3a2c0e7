package include

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aimass/aimass/cuda/driver"
)

// toolkits finds the folders of CUDA toolkits' cuda.h (make cuda-headers, make cuda-ptx).
func toolkits() (list []string) {
	var found []string
	for _, pattern := range []string{"../../../build/cuda/headers/*/include", "../../../build/cuda/toolchain/lib/python*/site-packages/nvidia/cu*/include"} {
		some, _ := filepath.Glob(pattern)
		found = append(found, some...)
	}
	if home := os.Getenv("CUDA_HOME"); home != "" {
		found = append(found, filepath.Join(home, "include"))
	}
	seen := map[string]bool{}
	for _, dir := range append(found, "/usr/local/cuda/include") {
		if b, err := os.ReadFile(filepath.Join(dir, "cuda.h")); err == nil && !seen[string(b)] {
			seen[string(b)] = true
			list = append(list, dir)
		}
	}
	return list
}

var cudaVersion = regexp.MustCompile(`#define CUDA_VERSION (\d+)`)

// each runs f for the headers of each toolkit; most name their version.
func each(t *testing.T, f func(t *testing.T, dir, version string)) {
	list := toolkits()
	if _, err := exec.LookPath("cc"); len(list) == 0 || err != nil {
		t.Skip("NOT RUN: cuda.h: there is no CUDA toolkit, or no C compiler (make cuda-headers fetches headers)")
	}
	for _, dir := range list {
		b, err := os.ReadFile(filepath.Join(dir, "cuda.h"))
		if err != nil {
			t.Fatal(err)
		}
		m := cudaVersion.FindSubmatch(b)
		if m == nil {
			t.Fatalf("%s names no version", dir)
		}
		if dir, err = filepath.Abs(dir); err != nil {
			t.Fatal(err)
		}
		t.Run(string(m[1]), func(t *testing.T) { f(t, dir, string(m[1])) })
	}
}

// TestHeader holds our header to those of toolkits: prototypes, values and sizes.
func TestHeader(t *testing.T) { each(t, sameHeader) }

// TestDriverBuilds compiles the driver's package, gorgonia.org/cu included, against the headers
// of toolkits instead of ours.
func TestDriverBuilds(t *testing.T) {
	if os.Getenv("AIMASS_CUDA_HEADERS") == "" {
		t.Skip("NOT RUN: the driver's package against CUDA's own headers; make cuda-headers")
	}
	each(t, func(t *testing.T, dir, version string) {
		flags := "-O1 -w -I" + dir
		if version >= "13000" {
			shim, err := filepath.Abs("testdata/cuda13")
			if err != nil {
				t.Fatal(err)
			}
			flags = "-O1 -w -I" + shim + " -I" + dir
		}
		cmd := exec.Command("go", "build", "-tags", "cuda", "..")
		cmd.Env = append(os.Environ(), "CGO_CFLAGS="+flags)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, b)
		}
	})
}

// TestOldestDriver looks up, in a toolkit's list of entry points by version, since when each of
// those that serving needs has been there.
func TestOldestDriver(t *testing.T) {
	each(t, func(t *testing.T, dir, _ string) {
		b, err := os.ReadFile(filepath.Join(dir, "cudaTypedefs.h"))
		if err != nil {
			t.Skipf("NOT RUN: %v", err)
		}
		names, err := os.ReadFile("cuda_names.h")
		if err != nil {
			t.Fatal(err)
		}
		native, err := os.ReadFile("../native.c")
		if err != nil {
			t.Fatal(err)
		}
		called := throughCu
		for _, m := range regexp.MustCompile(`\b(cu[A-Z]\w+)\(`).FindAllSubmatch(native, -1) {
			called = append(called, string(m[1]))
		}
		for _, name := range called {
			// cuGraphInstantiateWithFlags_v11040: the suffix of a typedef is the version in which
			// that form of the function came.
			want := 0
			exported := name
			if m := regexp.MustCompile(`#define ` + name + ` (\w+)`).FindSubmatch(names); m != nil {
				exported = string(m[1])
			}
			forms := regexp.MustCompile(`PFN_`+name+`_v(\d+)\)`).FindAllSubmatch(b, -1)
			nth := 1
			if i := strings.LastIndex(exported, "_v"); i > 0 {
				fmt.Sscanf(exported[i:], "_v%d", &nth)
			}
			if len(forms) > 0 {
				fmt.Sscan(string(forms[min(nth, len(forms))-1][1]), &want)
			}
			if len(forms) == 0 || want > driver.MinVersion {
				t.Errorf("%s is there since %d, and drivers of %d are taken", exported, want, driver.MinVersion)
			}
		}
	})
}

// throughCu are the functions that the driver's package reaches through gorgonia.org/cu.
var throughCu = []string{"cuDriverGetVersion", "cuDeviceGet", "cuDeviceGetCount", "cuDeviceGetName", "cuDeviceGetUuid", "cuDeviceTotalMem",
	"cuDeviceGetAttribute",
	"cuDeviceCanAccessPeer", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease", "cuCtxSetCurrent", "cuCtxEnablePeerAccess", "cuModuleGetFunction",
	"cuModuleUnload",
	"cuMemAlloc", "cuMemFree", "cuMemFreeHost", "cuMemGetInfo", "cuMemcpyHtoD", "cuMemcpyDtoH", "cuStreamCreate", "cuStreamDestroy", "cuStreamSynchronize",
	"cuEventCreate", "cuEventDestroy"}

func sameHeader(t *testing.T, theirs, _ string) {
	ours, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	compile := func(include, name, source string, args ...string) string {
		file, out := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		if b, err := exec.Command("cc", append(args, "-w", "-I", include, "-o", out, file)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, b)
		}
		return out
	}
	// A function may be declared twice if both declarations agree.
	var s strings.Builder
	s.WriteString("#include <cuda.h>\n")
	for _, m := range regexp.MustCompile(`(?m)^CUresult (cu\w+)\(`).FindAllStringSubmatch(Functions, -1) {
		fmt.Fprintf(&s, "#undef %s\n", m[1])
	}
	fmt.Fprintf(&s, "#include %q\n", filepath.Join(ours, "cuda_functions.h"))
	compile(theirs, "prototypes", s.String(), "-c")

	header, err := os.ReadFile("cuda.h")
	if err != nil {
		t.Fatal(err)
	}
	s.Reset()
	s.WriteString("#include <cuda.h>\n#include <stdio.h>\nint main(void) {\n")
	// What cu names and toolkits no longer have.
	gone := regexp.MustCompile(`^(CUDA_VERSION|CU_CTX_FLAGS_MASK|CU_TARGET_COMPUTE_(1.|2.|30|32))$`)
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`\b(CU(?:DA)?_[A-Z0-9_a-z]+)(?: =|,| \})`).FindAllStringSubmatch(string(header), -1) {
		if !gone.MatchString(m[1]) && !seen[m[1]] {
			seen[m[1]] = true
			fmt.Fprintf(&s, "\tprintf(\"%s %%ld\\n\", (long)%s);\n", m[1], m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)\} (CU\w+);`).FindAllStringSubmatch(string(header), -1) {
		fmt.Fprintf(&s, "\tprintf(\"%s %%zu\\n\", sizeof(%s));\n", m[1], m[1])
	}
	s.WriteString("\treturn 0;\n}\n")
	if len(seen) < 200 {
		t.Fatalf("only %d values were found in our header", len(seen))
	}
	var out [2]string
	for i, include := range []string{ours, theirs} {
		b, err := exec.Command(compile(include, fmt.Sprint("values", i), s.String())).Output()
		if err != nil {
			t.Fatal(err)
		}
		out[i] = string(b)
	}
	a, b := strings.Split(out[0], "\n"), strings.Split(out[1], "\n")
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("ours: %s, the toolkit's: %s", a[i], b[i])
		}
	}
}
