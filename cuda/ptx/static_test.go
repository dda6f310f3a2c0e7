package ptx

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aimass/aimass/cuda/kernels"
)

var (
	compiled = regexp.MustCompile(`(?s)Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)`)
	shared   = regexp.MustCompile(`(\d+) bytes smem`)
	opcode   = regexp.MustCompile(`(?m)^\s*(?:/\*[0-9a-f]+\*/)?\s*(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*)`)
)

// TestStatic assembles every module for every target and holds the result against the
// claims in cuda/kernels. It needs ptxas and nvdisasm (make cuda-static).
func TestStatic(t *testing.T) {
	home := os.Getenv("CUDA_HOME")
	if home == "" {
		t.Skip("NOT RUN: static checks of the CUDA kernels: no CUDA_HOME; make cuda-static")
	}
	var slots = make(chan struct{}, 2)
	var wg sync.WaitGroup
	kernelsSeen := 0
	var mu sync.Mutex
	for _, target := range kernels.Targets {
		for _, module := range Modules() {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				n, problems := assembled(home, module, target, t.TempDir())
				mu.Lock()
				defer mu.Unlock()
				kernelsSeen += n
				for _, p := range problems {
					t.Errorf("%s %s: %s", target, module, p)
				}
			})
		}
	}
	wg.Wait()
	want := 0
	for _, m := range Modules() {
		text, _ := Module(m, Baseline)
		want += len(Entries(text))
	}
	if kernelsSeen != want*len(kernels.Targets) {
		t.Errorf("%d kernels were checked, there are %d on %d targets", kernelsSeen, want, len(kernels.Targets))
	}
	t.Logf("%d kernels on %d targets: no spills, no local memory, registers and shared memory within their claims", want, len(kernels.Targets))
}

func assembled(home, module, target, dir string) (n int, problems []string) {
	cubin := filepath.Join(dir, "k.cubin")
	info, err := exec.Command(filepath.Join(home, "bin/ptxas"), "-arch="+target, "-v", module+".ptx", "-o", cubin).CombinedOutput()
	if err != nil {
		return 0, []string{fmt.Sprintf("ptxas: %v\n%s", err, info)}
	}
	sass, err := exec.Command(filepath.Join(home, "bin/nvdisasm"), "-c", cubin).Output()
	if err != nil {
		return 0, []string{fmt.Sprintf("nvdisasm: %v", err)}
	}
	used := map[string]map[string]bool{}
	for _, part := range strings.Split(string(sass), ".section\t.text.")[1:] {
		name, body, _ := strings.Cut(part, ",")
		used[name] = map[string]bool{}
		for _, m := range opcode.FindAllStringSubmatch(body, -1) {
			used[name][m[1]] = true
		}
	}
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, m := range compiled.FindAllStringSubmatch(string(info), -1) {
		n++
		name, claim := m[1], kernels.Claims(m[1])
		if m[2] != "0" || m[3] != "0" || m[4] != "0" {
			bad("%s spills: %s bytes of stack, %s and %s bytes spilled", name, m[2], m[3], m[4])
		}
		if r, _ := strconv.Atoi(m[5]); r > claim.Registers {
			bad("%s uses %d registers, its claim is %d", name, r, claim.Registers)
		}
		if s := shared.FindStringSubmatch(m[6]); s != nil {
			// Devices from sm_90 on keep 1 KiB of each block's shared memory.
			if v, _ := strconv.Atoi(s[1]); v > claim.Shared+1024 {
				bad("%s uses %d bytes of shared memory, its claim is %d", name, v, claim.Shared)
			}
		}
		ops := used[name]
		if len(ops) == 0 {
			bad("%s: no code was found", name)
		}
		for op := range ops {
			if strings.HasPrefix(op, "LDL") || strings.HasPrefix(op, "STL") {
				bad("%s uses local memory (%s)", name, op)
			}
		}
		for _, want := range claim.Opcodes {
			if !has(ops, want) {
				bad("%s has no %s", name, want)
			}
		}
	}
	return n, problems
}

// has reports whether an opcode begins with one of the alternatives.
func has(ops map[string]bool, want string) bool {
	for _, w := range strings.Split(want, "|") {
		for op := range ops {
			if strings.HasPrefix(op, w) {
				return true
			}
		}
	}
	return false
}
