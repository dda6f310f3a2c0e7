package emulator

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// entry wraps a body: %in and %out are global pointers, %t is tid.x, %o the address of out[t].
func entry(decl, body string) string {
	return decl + `
.visible .entry k(.param .u64 in, .param .u64 out)
{
	.reg .pred %p, %q;
	.reg .b16 %h<4>;
	.reg .b32 %r<40>, %t;
	.reg .f32 %f<8>;
	.reg .b64 %d<8>, %in, %out, %o;
	ld.param.u64 %in, [in];
	ld.param.u64 %out, [out];
	mov.u32 %t, %tid.x;
	mad.wide.u32 %o, %t, 4, %out;
` + body + "\n\tret;\n}\n"
}

// each runs a body on a block of n threads and wants out[t] == want(t).
func each(t *testing.T, name, decl, body string, n int, in []byte, want func(i int) uint32) {
	t.Helper()
	r := start(t, Config{RaceCheck: true})
	out := r.alloc(4 * n)
	src := r.upload(append(in, 0))
	if code := r.run(r.kernel(entry(decl, body)), dims{grid: 1, block: uint64(n)}, src, out); code != 0 {
		why, _ := r.state.Refusal()
		t.Errorf("%s: %d: %s", name, code, why)
		return
	}
	for i, v := range asWords(r.download(out, 4*n)) {
		if v != want(i) {
			t.Errorf("%s: out[%d] = %x, want %x", name, i, v, want(i))
			return
		}
	}
}

func TestWarp(t *testing.T) {
	st := "\nst.global.u32 [%o], %r1;"
	all := "0xffffffff"
	each(t, "shfl.bfly", "", "shfl.sync.bfly.b32 %r1, %t, 5, 31, "+all+";"+st, 64, nil, func(i int) uint32 { return uint32(i ^ 5) })
	each(t, "shfl.up", "", "shfl.sync.up.b32 %r1|%p, %t, 3, 0, "+all+"; @!%p mov.u32 %r1, 99;"+st, 32, nil, func(i int) uint32 {
		if i < 3 {
			return 99
		}
		return uint32(i - 3)
	})
	each(t, "shfl.down in eights", "", "shfl.sync.down.b32 %r1, %t, 2, 0x1807, "+all+";"+st, 32, nil, func(i int) uint32 {
		if i%8+2 > 7 {
			return uint32(i)
		}
		return uint32(i + 2)
	})
	each(t, "shfl.idx", "", "and.b32 %r2, %t, 7; shfl.sync.idx.b32 %r1, %t, %r2, 31, "+all+";"+st, 32, nil, func(i int) uint32 { return uint32(i & 7) })
	each(t, "vote.ballot", "", "and.b32 %r2, %t, 1; setp.eq.u32 %p, %r2, 1; vote.sync.ballot.b32 %r1, %p, "+all+";"+st, 32, nil,
		func(int) uint32 { return 0xaaaaaaaa })
	each(t, "match", "", "and.b32 %r2, %t, 3; match.any.sync.b32 %r1, %r2, "+all+";"+st, 32, nil, func(i int) uint32 { return 0x11111111 << (i & 3) })
	each(t, "redux", "", "redux.sync.max.s32 %r1, %t, "+all+";"+st, 64, nil, func(i int) uint32 { return uint32(i | 31) })
	each(t, "activemask", "", "mov.u32 %r1, 0; setp.lt.u32 %p, %t, 5; @!%p bra A; activemask.b32 %r1; A:"+st, 32, nil,
		func(i int) uint32 { return 31 * truth(i < 5) })
	each(t, "a half warp", "", "mov.u32 %r1, 7; setp.ge.u32 %p, %t, 16; @%p bra A; shfl.sync.bfly.b32 %r1, %t, 1, 31, 0xffff; A:"+st, 32, nil, func(i int) uint32 {
		if i < 16 {
			return uint32(i ^ 1)
		}
		return 7
	})
	// A loop that each lane leaves at another time, with a branch inside; then all meet again.
	each(t, "divergent loop", "", `
	mov.u32 %r1, 0; mov.u32 %r2, 0;
	L: setp.ge.u32 %p, %r2, %t; @%p bra E;
	and.b32 %r3, %r2, 1; setp.eq.u32 %q, %r3, 0; @%q bra EVEN;
	add.u32 %r1, %r1, 100; bra.uni NEXT;
	EVEN: add.u32 %r1, %r1, 1;
	NEXT: add.u32 %r2, %r2, 1; bra.uni L;
	E: shfl.sync.idx.b32 %r4, %t, 9, 31, 0xffffffff; add.u32 %r1, %r1, %r4;`+st, 32, nil, func(i int) uint32 { return uint32(i/2*100 + (i+1)/2 + 9) })
	each(t, "early exit", ".shared .align 4 .b8 s[256];", `
	setp.ge.u32 %p, %t, 40; mov.u32 %r1, 3; st.global.u32 [%o], %r1; @%p ret;
	shl.b32 %r2, %t, 2; mov.u32 %r3, s; add.u32 %r3, %r3, %r2; st.shared.u32 [%r3], %t; bar.sync 0;
	sub.u32 %r4, 156, %r2; mov.u32 %r3, s; add.u32 %r3, %r3, %r4; ld.shared.u32 %r1, [%r3];`+st, 64, nil, func(i int) uint32 {
		if i < 40 {
			return uint32(39 - i)
		}
		return 3
	})
	each(t, "branch table", "", `
	and.b32 %r2, %t, 3;
	T: .branchtargets A, B, C, A;
	brx.idx %r2, T;
	A: mov.u32 %r1, 10; bra.uni E;
	B: mov.u32 %r1, 20; bra.uni E;
	C: mov.u32 %r1, 30;
	E: add.u32 %r1, %r1, %t;`+st, 32, nil, func(i int) uint32 { return []uint32{10, 20, 30, 10}[i&3] + uint32(i) })
	each(t, "call", `.func (.param .b32 r) twice(.param .b32 x) { .reg .b32 %a; .reg .pred %z; ld.param.u32 %a, [x]; setp.eq.u32 %z, %a, 5; @%z bra F; add.u32 %a, %a, %a; st.param.b32 [r], %a; ret; F: mov.u32 %a, 55; st.param.b32 [r], %a; ret; }`, `
	{ .param .b32 p0; st.param.b32 [p0], %t; .param .b32 r0; call.uni (r0), twice, (p0); ld.param.b32 %r1, [r0]; }
	{ .param .b32 p0; st.param.b32 [p0], %r1; .param .b32 r0; call.uni (r0), twice, (p0); ld.param.b32 %r1, [r0]; }`+st, 32, nil, func(i int) uint32 {
		if i == 5 {
			return 110
		}
		return uint32(4 * i)
	})
	each(t, "local and constant memory", ".const .align 4 .u32 table[4] = {5, 6, 7, 8};", `
	.local .align 8 .b8 l[64];
	mov.u64 %d1, l; cvta.local.u64 %d2, %d1; and.b32 %r2, %t, 3; mad.wide.u32 %d2, %r2, 4, %d2; st.u32 [%d2+8], %t;
	mov.u64 %d3, table; mad.wide.u32 %d3, %r2, 4, %d3; ld.const.u32 %r3, [%d3];
	mad.wide.u32 %d1, %r2, 4, %d1; ld.local.u32 %r1, [%d1+8]; add.u32 %r1, %r1, %r3;`+st, 37, nil, func(i int) uint32 { return uint32(i + 5 + i&3) })
	each(t, "barrier with votes", "", "setp.lt.u32 %p, %t, 10; bar.red.popc.u32 %r1, 0, %p;"+st, 96, nil, func(int) uint32 { return 10 })
	each(t, "vector loads", "", "mad.wide.u32 %d1, %t, 16, %in; ld.global.nc.v4.u32 {%r1, %r2, %r3, %r4}, [%d1]; add.u32 %r1, %r1, %r2; add.u32 %r1, %r1, "+
		"%r3; sub.u32 %r1, %r1, %r4;"+st, 33, seq(132), func(i int) uint32 { return uint32(7 * (8 * i)) })
	each(t, "bytes", "", "cvt.u64.u32 %d1, %t; add.s64 %d1, %d1, %in; ld.global.s8 %h1, [%d1]; ld.global.u8 %r2, [%d1]; cvt.s32.s16 %r1, %h1; "+
		"sub.s32 %r1, %r2, %r1;"+st, 40, []byte("\x80\xff\x01abcdefghijklmnopqrstuvwxyz\xf0abcdefghijkl"), func(i int) uint32 {
		return 256 * truth(i < 2 || i == 29)
	})
}

func TestAtomics(t *testing.T) {
	r := start(t, Config{})
	sums := r.upload(make([]byte, 64))
	f := r.kernel(entry("", `
	red.global.add.u32 [%out], 1;
	atom.global.max.s32 %r1, [%out+4], %t;
	cvt.rn.f32.u32 %f1, %t; red.global.add.f32 [%out+8], %f1;
	atom.global.inc.u32 %r1, [%out+12], 6;
	L: ld.global.u32 %r1, [%out+16]; add.u32 %r2, %r1, 3; atom.global.cas.b32 %r3, [%out+16], %r1, %r2; setp.ne.u32 %p, %r3, %r1; @%p bra L;`))
	if code := r.run(f, dims{grid: 50, block: 70}, sums, sums); code != 0 {
		t.Fatal(code)
	}
	got := asWords(r.download(sums, 20))
	want := []uint32{3500, 69, b32(50 * 69 * 35), 0, 10500}
	for i, w := range want {
		if got[i] != w {
			t.Errorf("atomic %d: %d, want %d", i, got[i], w)
		}
	}
}

// TestAsync: a copy is seen after the wait for its group and not before; other warps need a barrier.
func TestAsync(t *testing.T) {
	copyTo := "shl.b32 %r2, %t, 2; mov.u32 %r3, s; add.u32 %r3, %r3, %r2; mad.wide.u32 %d1, %t, 4, %in; cp.async.ca.shared.global [%r3], [%d1], 4; " +
		"cp.async.commit_group;"
	load := "ld.shared.u32 %r1, [%r3]; st.global.u32 [%o], %r1;"
	decl := ".shared .align 16 .b8 s[4096];"
	first := func(i int) uint32 { return uint32(i * 7) }
	each(t, "after the wait", decl, copyTo+"cp.async.wait_group 0;"+load, 70, seq(70), first)
	each(t, "before the wait", decl, copyTo+load, 70, seq(70), func(int) uint32 { return 0xcdcdcdcd })
	each(t, "older group", decl, copyTo+"cp.async.ca.shared.global [%r3+1024], [%d1], 4; cp.async.commit_group; cp.async.wait_group 1;"+load, 70, seq(70), first)
	each(t, "newer group", decl, copyTo+"cp.async.ca.shared.global [%r3+1024], [%d1], 4; cp.async.commit_group; cp.async.wait_group 1; ld.shared.u32 %r1, "+
		"[%r3+1024]; st.global.u32 [%o], %r1;", 70, seq(70), func(int) uint32 { return 0xcdcdcdcd })
	each(t, "zero fill", decl, "mov.u32 %r3, s; mad.lo.u32 %r3, %t, 16, %r3; and.b32 %r4, %t, 1; shl.b32 %r4, %r4, 2; cp.async.cg.shared.global [%r3], [%in], "+
		"16, %r4; cp.async.wait_all; ld.shared.u32 %r1, [%r3]; st.global.u32 [%o], %r1;", 40, words(77, 1, 2, 3), func(i int) uint32 { return uint32(i&1) * 77 })
}

// TestRefusals: what must never pass.
func TestRefusals(t *testing.T) {
	shared := ".shared .align 16 .b8 s[512];"
	at := "shl.b32 %r2, %t, 2; mov.u32 %r3, s; add.u32 %r3, %r3, %r2;"
	for _, c := range []struct {
		name, body string
		block      uint64
		code       int
		says       string
	}{
		{"race, read after write", at + "st.shared.u32 [%r3], %t; xor.b32 %r2, %r2, 128; mov.u32 %r3, s; add.u32 %r3, %r3, %r2; ld.shared.u32 %r1, [%r3];", 64, 719,
			"shared-memory race"},
		{"race, write after read", at + "st.shared.u32 [%r3], %t; bar.sync 0; xor.b32 %r2, %r2, 128; mov.u32 %r4, s; add.u32 %r4, %r4, %r2; ld.shared.u32 %r1, " +
			"[%r4]; st.shared.u32 [%r3], %r1;", 64, 719, "shared-memory race"},
		{"no race with barriers", at + "st.shared.u32 [%r3], %t; bar.sync 0; xor.b32 %r2, %r2, 128; mov.u32 %r4, s; add.u32 %r4, %r4, %r2; ld.shared.u32 %r1, " +
			"[%r4]; bar.sync 0; st.shared.u32 [%r3], %r1;", 64, 0, ""},
		{"no race of atomics", "mov.u32 %r3, s; red.shared.add.u32 [%r3], 1; bar.sync 0; ld.shared.u32 %r1, [%r3];", 96, 0, ""},
		{"race with an atomic", "mov.u32 %r3, s; red.shared.add.u32 [%r3], 1; ld.shared.u32 %r1, [%r3];", 96, 719, "race"},
		{"race within a named barrier's others", at + "setp.ge.u32 %p, %t, 64; @%p bra E; st.shared.u32 [%r3], %t; bar.sync 1, 64; ret; E: mov.u32 %r3, s; " +
			"ld.shared.u32 %r1, [%r3];", 96, 719, "race"},
		{"divergent barrier", "setp.lt.u32 %p, %t, 5; @%p bra A; bar.sync 0; A: st.global.u32 [%o], %t;", 32, 719, "divergent barrier"},
		{"predicated barrier", "setp.lt.u32 %p, %t, 5; @%p bar.sync 0;", 32, 719, "divergent barrier"},
		{"barrier deadlock", "setp.lt.u32 %p, %t, 32; @%p bra A; bar.sync 1; ret; A: bar.sync 2;", 64, 719, "barrier deadlock"},
		{"membermask", "setp.lt.u32 %p, %t, 5; @%p bra A; shfl.sync.bfly.b32 %r1, %t, 1, 31, 0xffffffff; A: st.global.u32 [%o], %t;", 32, 719,
			"in the membermask but not at the instruction"},
		{"own membermask", "shfl.sync.bfly.b32 %r1, %t, 1, 31, 0xff;", 32, 719, "own membermask"},
		{"aligned", at + "setp.lt.u32 %p, %t, 5; @%p bra A; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r3]; A:", 32, 719, ".aligned"},
		{"half a warp at an aligned instruction", at + "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r3];", 16, 719, ".aligned"},
		{"misaligned", "ld.global.u32 %r1, [%in+2];", 1, 716, "misaligned"},
		{"misaligned vector", "ld.global.v2.u32 {%r1, %r2}, [%in+4];", 1, 716, "misaligned"},
		{"shared bound", "mov.u32 %r3, s; ld.shared.u32 %r1, [%r3+512];", 1, 700, "outside its 512 bytes"},
		{"host pointer", "mov.u64 %d1, 4096; ld.global.u32 %r1, [%d1];", 1, 700, "no device address"},
		{"trap", "trap;", 1, 719, "trap"},
		{"endless", "A: bra A;", 32, 702, "no end"},
	} {
		r := start(t, Config{RaceCheck: true, MaxSteps: 1 << 21})
		p := r.upload(make([]byte, 4096))
		if code := r.run(r.kernel(entry(shared, c.body)), dims{grid: 1, block: c.block}, p, p); code != c.code {
			why, _ := r.state.Refusal()
			t.Errorf("%s: %d, want %d (%s)", c.name, code, c.code, why)
		}
		if c.code != 0 {
			r.refused(c.says, "kernel k", "PTX line")
		}
	}
}

func half(v float32) uint16 { // exact for small integers and quarters
	b := math.Float32bits(v)
	if v == 0 {
		return 0
	}
	return uint16(b>>16&0x8000) | uint16(int(b>>23&255)-112)<<10 | uint16(b>>13&0x3ff)
}

// TestMatrix checks fragments and products against plain loops, ldmatrix included.
func TestMatrix(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	type kind struct {
		name, mma string
		k, bytes  int // depth, bytes of an element
		a, b      int // registers
		encode    func(v int) []byte
		isFloat   bool
	}
	h := func(v int) []byte { return binary.LittleEndian.AppendUint16(nil, half(float32(v)/4)) }
	for _, c := range []kind{
		{"f16", "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 16, 2, 4, 2, h, true},
		{"f16 k8", "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", 8, 2, 2, 1, h, true},
		{"bf16", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 16, 2, 4, 2,
			func(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(b32(float32(v)/4)>>16)) }, true},
		{"tf32", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", 8, 4, 4, 2, func(v int) []byte { return words(b32(float32(v)/4) | 0x1fff) }, true},
		{"s8", "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", 32, 1, 4, 2, func(v int) []byte { return []byte{byte(v)} }, false},
		{"s8 k16", "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32", 16, 1, 2, 1, func(v int) []byte { return []byte{byte(v)} }, false},
	} {
		a, b := make([]int, 16*c.k), make([]int, 8*c.k)
		var mem []byte
		for i := range a {
			a[i] = rng.IntN(200) - 100
			mem = append(mem, c.encode(a[i])...)
		}
		for i := range b { // stored by column: B is k by 8, column-major
			b[i] = rng.IntN(200) - 100
			mem = append(mem, c.encode(b[i])...)
		}
		// Register r of A holds 4 bytes at row g (+8 for odd r) and byte t*4 (+16 for r >= 2).
		row := c.k * c.bytes
		body := fmt.Sprintf("shr.u32 %%r30, %%t, 2; and.b32 %%r31, %%t, 3; mul.lo.u32 %%r32, %%r30, %d; mad.lo.u32 %%r32, %%r31, 4, %%r32; cvt.u64.u32 %%d1, "+
			"%%r32; add.s64 %%d1, %%d1, %%in;\n", row)
		for r := range c.a {
			body += fmt.Sprintf("ld.global.u32 %%r%d, [%%d1+%d];\n", 4+r, r%2*8*row+r/2*16)
		}
		for r := range c.b {
			body += fmt.Sprintf("ld.global.u32 %%r%d, [%%d1+%d];\n", 8+r, 16*row+r*16)
		}
		list := func(first, n int) string {
			s := ""
			for i := range n {
				s += fmt.Sprintf(", %%r%d", first+i)
			}
			return "{" + s[2:] + "}"
		}
		if c.isFloat { // accumulators are f32 registers
			body += "mov.f32 %f1, 0f3F800000;\n" + c.mma + " {%f4, %f5, %f6, %f7}, " + list(4, c.a) + ", " + list(8, c.b) + ", {%f1, %f1, %f1, %f1};\n"
			body += "mov.b32 %r0, %f4; mov.b32 %r1, %f5; mov.b32 %r2, %f6; mov.b32 %r3, %f7;\n"
		} else {
			body += "mov.u32 %r12, 1;\n" + c.mma + " {%r0, %r1, %r2, %r3}, " + list(4, c.a) + ", " + list(8, c.b) + ", {%r12, %r12, %r12, %r12};\n"
		}
		body += "mad.wide.u32 %o, %t, 16, %out; st.global.v4.u32 [%o], {%r0, %r1, %r2, %r3};"
		r := start(t, Config{})
		src, out := r.upload(mem), r.alloc(512)
		if code := r.run(r.kernel(entry("", body)), dims{grid: 1, block: 32}, src, out); code != 0 {
			why, _ := r.state.Refusal()
			t.Fatalf("%s: %d: %s", c.name, code, why)
		}
		got := asWords(r.download(out, 512))
		for i := range 128 {
			lane, j := i/4, i%4
			m, n := lane/4+j/2*8, lane%4*2+j%2
			sum := 0
			for k := range c.k {
				sum += a[m*c.k+k] * b[n*c.k+k]
			}
			want := uint32(sum + 1)
			if c.isFloat {
				want = b32(float32(sum)/16 + 1)
			}
			if got[i] != want {
				t.Errorf("%s: c[%d][%d] = %x, want %x", c.name, m, n, got[i], want)
				break
			}
		}
	}
	tile := func(i int) uint32 { return uint32(2*i+1)<<16 | uint32(2*i) } // 8x8 of 16-bit numbers 0..63
	var mem []uint32
	for i := range 32 {
		mem = append(mem, tile(i))
	}
	fill := "shl.b32 %r2, %t, 2; mov.u32 %r3, s; add.u32 %r4, %r3, %r2; mad.wide.u32 %d1, %t, 4, %in; ld.global.u32 %r5, [%d1]; st.shared.u32 [%r4], %r5; " +
		"bar.sync 0; and.b32 %r6, %t, 7; mad.lo.u32 %r3, %r6, 16, %r3;"
	decl := ".shared .align 16 .b8 s[128];"
	each(t, "ldmatrix", decl, fill+"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r3]; st.global.u32 [%o], %r1;", 32, words(mem...), tile)
	each(t, "ldmatrix.trans", decl, fill+"ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r1}, [%r3]; st.global.u32 [%o], %r1;", 32, words(mem...),
		func(i int) uint32 {
			r, c := uint32(i/4), uint32(i%4*2)
			return (c+1)*8<<16 + r<<16 | (c*8 + r)
		})
}
