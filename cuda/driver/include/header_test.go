package include

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// toolkit finds the folder of a CUDA toolkit's cuda.h.
func toolkit() string {
	found, _ := filepath.Glob("../../../build/cuda/toolchain/lib/python*/site-packages/nvidia/cu*/include")
	if home := os.Getenv("CUDA_HOME"); home != "" {
		found = append(found, filepath.Join(home, "include"))
	}
	for _, dir := range append(found, "/usr/local/cuda/include") {
		if _, err := os.Stat(filepath.Join(dir, "cuda.h")); err == nil {
			return dir
		}
	}
	return ""
}

// TestHeader holds our header to a toolkit's: prototypes, values and sizes.
func TestHeader(t *testing.T) {
	theirs := toolkit()
	cc, err := exec.LookPath("cc")
	if theirs == "" || err != nil {
		t.Skip("NOT RUN: cuda.h: there is no CUDA toolkit, or no C compiler (make cuda-ptx fetches the one)")
	}
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
		if b, err := exec.Command(cc, append(args, "-w", "-I", include, "-o", out, file)...).CombinedOutput(); err != nil {
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
	for _, m := range regexp.MustCompile(`(?m)^\} (CUDA_\w+);`).FindAllStringSubmatch(string(header), -1) {
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
