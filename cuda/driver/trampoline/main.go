// Command trampoline makes libcuda.a, an archive that stands in for the CUDA driver's
// library when aimass is linked, so that one binary runs on machines with a driver and
// without. For every function of cuda/driver/include/cuda_functions.h it holds a stub which
// jumps through a slot; the first call of any opens the driver and fills all slots
// (src/resolve.c). It needs cc and ar, and writes amd64 code.
//
//	go run ./cuda/driver/trampoline build/cuda
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/aimass/aimass/cuda/driver/include"
)

//go:embed src/resolve.c
var resolver []byte

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: trampoline FOLDER")
		os.Exit(2)
	}
	if err := build(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "trampoline:", err)
		os.Exit(1)
	}
}

// build writes the sources to dir and compiles them there.
func build(dir string) error {
	names := functions(include.Functions)
	if len(names) == 0 {
		return fmt.Errorf("the header lists no functions")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := []struct {
		name string
		text []byte
	}{{"trampolines.S", assembly(names)}, {"resolve.c", resolver}}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	archive := filepath.Join(dir, "libcuda.a")
	if err := os.Remove(archive); err != nil && !os.IsNotExist(err) {
		return err
	}
	objects := []string{"rcs", archive}
	for _, f := range files {
		source := filepath.Join(dir, f.name)
		if err := os.WriteFile(source, f.text, 0o644); err != nil {
			return err
		}
		if err := command(cc, "-O2", "-fPIC", "-Wall", "-Werror", "-c", "-o", source+".o", source); err != nil {
			return err
		}
		objects = append(objects, source+".o")
	}
	return command("ar", objects...)
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// functions are the names that the header declares, in its order.
func functions(header string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^CUresult (cu\w+)\(`).FindAllStringSubmatch(header, -1) {
		names = append(names, m[1])
	}
	return names
}

// assembly is a stub for each name. A slot first holds the address of code that pushes the
// slot's index and goes to the resolver, which must leave every argument register as it
// found it: six of integers, eight of floats, and AL.
func assembly(names []string) []byte {
	var b bytes.Buffer
	b.WriteString("/* Written by cuda/driver/trampoline. */\n\t.text\n")
	for i, n := range names {
		fmt.Fprintf(&b, "\t.globl %[1]s\n\t.type %[1]s, @function\n%[1]s:\n", n)
		if n == "cuInit" {
			fmt.Fprintf(&b, "\txorl %%eax, %%eax\n\tret\n")
		} else {
			fmt.Fprintf(&b, "\tjmp *aimass_cuda_slots+%d(%%rip)\n", 8*i)
		}
		fmt.Fprintf(&b, ".Lfirst%d:\n\tpushq $%d\n\tjmp first\n", i, i)
	}
	b.WriteString("first:\n")
	saved := []string{"rax", "rdi", "rsi", "rdx", "rcx", "r8", "r9"}
	for _, r := range saved {
		fmt.Fprintf(&b, "\tpushq %%%s\n", r)
	}
	b.WriteString("\tsubq $136, %rsp\n") // eight times 16, and 8 that align the stack
	for i := range 8 {
		fmt.Fprintf(&b, "\tmovups %%xmm%d, %d(%%rsp)\n", i, 16*i)
	}
	b.WriteString("\tcall aimass_cuda_resolve\n")
	for i := range 8 {
		fmt.Fprintf(&b, "\tmovups %d(%%rsp), %%xmm%d\n", 16*i, i)
	}
	b.WriteString("\taddq $136, %rsp\n")
	for i := len(saved) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "\tpopq %%%s\n", saved[i])
	}
	b.WriteString("\tpopq %r11\n\tleaq aimass_cuda_slots(%rip), %r10\n\tjmp *(%r10,%r11,8)\n")
	b.WriteString("\t.data\n\t.balign 8\n\t.hidden aimass_cuda_slots\n\t.globl aimass_cuda_slots\naimass_cuda_slots:\n")
	for i := range names {
		fmt.Fprintf(&b, "\t.quad .Lfirst%d\n", i)
	}
	b.WriteString("\t.section .data.rel.ro,\"aw\"\n\t.balign 8\n\t.hidden aimass_cuda_names\n\t.globl aimass_cuda_names\naimass_cuda_names:\n")
	for i := range names {
		fmt.Fprintf(&b, "\t.quad .Lname%d\n", i)
	}
	fmt.Fprintf(&b, "\t.section .rodata\n\t.hidden aimass_cuda_count\n\t.globl aimass_cuda_count\n\t.balign 4\naimass_cuda_count:\n\t.long %d\n", len(names))
	for i, n := range names {
		fmt.Fprintf(&b, ".Lname%d:\n\t.string %q\n", i, n)
	}
	b.WriteString("\t.section .note.GNU-stack,\"\",@progbits\n")
	return b.Bytes()
}
