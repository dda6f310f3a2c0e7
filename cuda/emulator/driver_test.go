package emulator

import (
	"bytes"
	"fmt"
	"testing"
)

// add is c[i] = a[i] + b[i] for i < n, in integers.
const add = `
.visible .entry k(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)
{
	.reg .pred %p;
	.reg .b32 %r<8>;
	.reg .b64 %d<8>;
	ld.param.u64 %d1, [a];
	ld.param.u64 %d2, [b];
	ld.param.u64 %d3, [c];
	ld.param.u32 %r1, [n];
	mov.u32 %r2, %ctaid.x;
	mov.u32 %r3, %ntid.x;
	mov.u32 %r4, %tid.x;
	mad.lo.s32 %r2, %r2, %r3, %r4;
	setp.ge.u32 %p, %r2, %r1;
	@%p bra END;
	mul.wide.u32 %d4, %r2, 4;
	add.s64 %d1, %d1, %d4;
	add.s64 %d2, %d2, %d4;
	add.s64 %d3, %d3, %d4;
	ld.global.u32 %r5, [%d1];
	ld.global.u32 %r6, [%d2];
	add.u32 %r5, %r5, %r6;
	st.global.u32 [%d3], %r5;
END:
	ret;
}
`

func seq(n int) []byte {
	v := make([]uint32, n)
	for i := range v {
		v[i] = uint32(i * 7)
	}
	return words(v...)
}

func (r *rig) stream(flags uint64) uint64 {
	r.t.Helper()
	p := r.mem(8)
	r.ok("cuStreamCreate", p, flags)
	return r.word(p)
}

func (r *rig) event() uint64 {
	r.t.Helper()
	p := r.mem(8)
	r.ok("cuEventCreate", p, 0)
	return r.word(p)
}

func (r *rig) pinned(n int) uint64 {
	r.t.Helper()
	p := r.mem(8)
	r.ok("cuMemHostAlloc", p, uint64(n), 0)
	return r.word(p)
}

// TestBounds: sizes around a warp; one element too many is refused exactly at the bound.
func TestBounds(t *testing.T) {
	for _, n := range []int{1, 31, 32, 33, 127, 129, 1003} {
		r := start(t, Config{})
		f := r.kernel(add)
		a, b, c := r.upload(seq(n)), r.upload(seq(n)), r.alloc(4*n)
		d := dims{grid: uint64(n/64 + 1), block: 64}
		if code := r.run(f, d, a, b, c, uint64(n)); code != 0 {
			t.Fatalf("n=%d: %d", n, code)
		}
		for i, v := range asWords(r.download(c, 4*n)) {
			if v != uint32(i*14) {
				t.Fatalf("n=%d: c[%d] = %d", n, i, v)
			}
		}
		if code := r.run(f, d, a, b, c, uint64(n+1)); code != 700 {
			t.Errorf("n=%d: one past the end: %d", n, code)
		}
		r.refused("kernel k", fmt.Sprintf("block (%d,0,0)", n/64), fmt.Sprintf("thread (%d,0,0)", n%64), "PTX line 24", "ld.global.u32", "0 bytes past the end")
		r.want(700, "cuMemAlloc_v2", r.mem(8), 4) // the error stays
	}
}

func TestMemory(t *testing.T) {
	r := start(t, Config{MemoryMiB: []int{1}})
	p := r.mem(8)
	a := r.alloc(1000)
	if a>>48 != 0xD0 {
		t.Errorf("pointer %x is canonical", a)
	}
	if got := r.download(a, 1000); !bytes.Equal(got, bytes.Repeat([]byte{0xCD}, 1000)) {
		t.Error("new memory is not poisoned")
	}
	r.want(1, "cuMemcpyDtoH_v2", r.mem(2000), a, 1001)
	r.want(1, "cuMemcpyHtoD_v2", a+1, r.mem(2000), 1000)
	r.want(2, "cuMemAlloc_v2", p, 1<<20)
	r.refused("1048576 bytes asked for, 1047576 of 1048576 free")
	r.ok("cuMemAlloc_v2", p, 1<<20-1000)
	r.ok("cuMemFree_v2", r.word(p))
	r.ok("cuMemFree_v2", a)
	r.want(1, "cuMemFree_v2", a)
	if got := r.state.Counter("live.0"); got != 0 {
		t.Errorf("%d bytes live", got)
	}
	b := r.alloc(1000)
	if b == a {
		t.Error("an address came back")
	}
	r.ok("cuMemFree_v2", b)
	f := r.kernel(add)
	c := r.alloc(4)
	if code := r.run(f, dims{grid: 1, block: 1}, b, b, c, 1); code != 700 {
		t.Errorf("use after free: %d", code)
	}
	r.refused("that were freed")
}

// TestLazy: work is not done until something waits for it, and each way of waiting does.
func TestLazy(t *testing.T) {
	for _, eager := range []bool{false, true} {
		r := start(t, Config{Eager: eager})
		const n = 100
		f := r.kernel(add)
		a, c := r.upload(seq(n)), r.alloc(4*n)
		s := r.stream(1)
		host := r.pinned(4 * n)
		e := r.event()
		wait := []func(){
			func() { r.ok("cuStreamSynchronize", s) },
			func() { r.ok("cuCtxSynchronize") },
			func() { r.ok("cuEventRecord", e, s); r.ok("cuEventSynchronize", e) },
			func() {
				other := r.stream(1)
				r.ok("cuEventRecord", e, s)
				r.ok("cuStreamWaitEvent", other, e, 0)
				r.ok("cuStreamSynchronize", other)
			},
			func() {
				for r.call("cuStreamQuery", s) == 600 {
				}
			},
		}
		for i, w := range wait {
			r.write(host, make([]byte, 4*n))
			if code := r.launchOn(s, f, dims{grid: 2, block: 64}, a, a, c, n); code != 0 {
				t.Fatal(code)
			}
			r.ok("cuMemcpyDtoHAsync_v2", host, c, 4*n, s)
			if done := asWords(r.read(host, 4*n))[1] == 14; done != eager {
				t.Errorf("eager %v, wait %d: done before the wait: %v", eager, i, done)
			}
			w()
			if got := asWords(r.read(host, 4*n))[n-1]; got != (n-1)*14 {
				t.Errorf("eager %v, wait %d: got %d", eager, i, got)
			}
		}
		// A pinned buffer belongs to the copy until it is done; pageable memory does not.
		page := r.mem(4)
		r.write(host, words(1))
		r.write(page, words(1))
		x := r.alloc(8)
		r.ok("cuMemcpyHtoDAsync_v2", x, host, 4, s)
		r.ok("cuMemcpyHtoDAsync_v2", x+4, page, 4, s)
		r.write(host, words(2))
		r.write(page, words(2))
		r.ok("cuStreamSynchronize", s)
		want := []uint32{2, 1}
		if eager {
			want[0] = 1
		}
		if got := asWords(r.download(x, 8)); got[0] != want[0] || got[1] != want[1] {
			t.Errorf("eager %v: buffers reused after the copy: %v, want %v", eager, got, want)
		}
	}
}

// TestLegacyStream: it waits for blocking streams and they for it; others do not.
func TestLegacyStream(t *testing.T) {
	r := start(t, Config{})
	x := r.alloc(4)
	blocking, free := r.stream(0), r.stream(1)
	r.ok("cuMemsetD32Async", x, 1, 1, blocking)
	if got := asWords(r.download(x, 4))[0]; got != 1 {
		t.Errorf("the legacy stream did not wait: %x", got)
	}
	r.ok("cuMemsetD32Async", x, 2, 1, free)
	if got := asWords(r.download(x, 4))[0]; got != 1 {
		t.Errorf("the legacy stream waited for a non-blocking one: %x", got)
	}
	r.ok("cuStreamSynchronize", free)
	if got := asWords(r.download(x, 4))[0]; got != 2 {
		t.Errorf("after the wait: %x", got)
	}
}

func TestGraph(t *testing.T) {
	r := start(t, Config{})
	const n = 33
	f := r.kernel(add)
	a, b, c := r.upload(seq(n)), r.alloc(4*n), r.alloc(4*n)
	host := r.pinned(4 * n)
	s, side := r.stream(1), r.stream(1)
	fork, join := r.event(), r.event()
	d := dims{grid: 1, block: 64}
	p := r.mem(8)
	record := func(joined bool) int {
		r.ok("cuStreamBeginCapture_v2", s, 0)
		r.launchOn(s, f, d, a, a, b, n)
		r.ok("cuEventRecord", fork, s)
		r.ok("cuStreamWaitEvent", side, fork, 0)
		r.launchOn(side, f, d, b, a, c, n)
		if joined {
			r.ok("cuEventRecord", join, side)
			r.ok("cuStreamWaitEvent", s, join, 0)
		}
		r.ok("cuMemcpyDtoHAsync_v2", host, c, 4*n, s)
		return r.call("cuStreamEndCapture", s, p)
	}
	if code := record(false); code != 904 {
		t.Errorf("an unjoined stream: %d", code)
	}
	if code := record(true); code != 0 {
		t.Fatal(code)
	}
	graph := r.word(p)
	r.ok("cuGraphInstantiateWithFlags", p, graph, 0)
	exec := r.word(p)
	before := r.state.Counters()
	for range 3 {
		r.write(host, make([]byte, 4*n))
		r.ok("cuGraphLaunch", exec, s)
		r.ok("cuStreamSynchronize", s)
		if got := asWords(r.read(host, 4*n)); got[n-1] != (n-1)*21 {
			t.Errorf("graph: %v", got)
		}
	}
	after := r.state.Counters()
	if n := after["call.cuLaunchKernel"] - before["call.cuLaunchKernel"]; n != 0 {
		t.Errorf("%d launches beside the graph's", n)
	}
	if n := after["kernel.k"] - before["kernel.k"]; n != 6 {
		t.Errorf("%d kernels ran, want 6", n)
	}
	if got := after["bytes.d2h"] - before["bytes.d2h"]; got != 3*4*n {
		t.Errorf("%d bytes to the host", got)
	}
	r.ok("cuStreamBeginCapture_v2", s, 0)
	r.want(900, "cuStreamSynchronize", s)
	r.want(901, "cuStreamEndCapture", s, p)
	r.ok("cuStreamBeginCapture_v2", s, 0)
	r.want(900, "cuMemAlloc_v2", p, 4)
	r.want(901, "cuStreamEndCapture", s, p)
}

// TestGraphOrder: nodes that no edge orders run in the order that shows it.
func TestGraphOrder(t *testing.T) {
	r := start(t, Config{})
	x := r.alloc(4)
	s, side := r.stream(1), r.stream(1)
	fork, join := r.event(), r.event()
	p := r.mem(8)
	r.ok("cuStreamBeginCapture_v2", s, 0)
	r.ok("cuEventRecord", fork, s)
	r.ok("cuStreamWaitEvent", side, fork, 0)
	r.ok("cuMemsetD32Async", x, 1, 1, s)
	r.ok("cuMemsetD32Async", x, 2, 1, side) // wants an event after the first
	r.ok("cuEventRecord", join, side)
	r.ok("cuStreamWaitEvent", s, join, 0)
	r.ok("cuStreamEndCapture", s, p)
	r.ok("cuGraphInstantiateWithFlags", p, r.word(p), 0)
	r.ok("cuGraphLaunch", r.word(p), s)
	r.ok("cuStreamSynchronize", s)
	if got := asWords(r.download(x, 4))[0]; got != 1 {
		t.Errorf("the second memset ran last (%d): the missing edge did not show", got)
	}
}

func TestPeers(t *testing.T) {
	r := start(t, Config{Devices: 3, NoPeer: "0-2"})
	p := r.mem(8)
	r.ok("cuDeviceCanAccessPeer", p, 0, 1)
	if r.int(p) != 1 {
		t.Error("0 and 1 have no peer access")
	}
	r.ok("cuDeviceCanAccessPeer", p, 0, 2)
	if r.int(p) != 0 {
		t.Error("0 and 2 have peer access")
	}
	r.ok("cuCtxSetCurrent", r.ctx[1])
	a := r.upload(seq(4))
	r.ok("cuCtxSetCurrent", r.ctx[0])
	r.want(217, "cuCtxEnablePeerAccess", r.ctx[2], 0)
	c := r.alloc(16)
	r.ok("cuMemcpyPeer", c, r.ctx[0], a, r.ctx[1], 16) // needs no access: it goes by the host
	if got := r.download(c, 16); !bytes.Equal(got, seq(4)) {
		t.Errorf("peer copy: %v", got)
	}
	if got := r.state.Counter("bytes.peer"); got != 16 {
		t.Errorf("%d bytes between devices", got)
	}
	f := r.kernel(add)
	r.ok("cuCtxEnablePeerAccess", r.ctx[1], 0)
	r.want(704, "cuCtxEnablePeerAccess", r.ctx[1], 0)
	if code := r.run(f, dims{grid: 1, block: 32}, a, a, c, 4); code != 0 {
		t.Errorf("peer read: %d", code)
	}
	r.ok("cuCtxDisablePeerAccess", r.ctx[1])
	if code := r.run(f, dims{grid: 1, block: 32}, a, a, c, 4); code != 700 {
		t.Errorf("peer read without access: %d", code)
	}
	r.refused("memory of device 1, to which device 0 has no peer access")
	r.want(700, "cuCtxSynchronize")
	r.ok("cuCtxSetCurrent", r.ctx[1]) // the other devices go on
	r.ok("cuCtxSynchronize")
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fail string
		at   string
		code int
	}{
		{"0:alloc:2:2", "alloc", 2}, {"0:h2d:1:1", "h2d", 1}, {"0:launch:1:719", "sync", 719}, {"0:launch:1:701", "launch", 701},
		{"*:d2h:1:700", "d2h", 700}, {"0:sync:1:700", "sync", 700}, {"0:module:1:209", "module", 209}, {"1:alloc:1:2", "", 0},
	} {
		r := start(t, Config{Fail: c.fail})
		p, h := r.mem(8), r.mem(64)
		at, code := "", 0
		step := func(name string, got int) {
			if got != 0 && at == "" {
				at, code = name, got
			}
		}
		rc, m := r.load(add)
		step("module", rc)
		if rc == 0 {
			f := r.find(m, "k")
			step("alloc", r.call("cuMemAlloc_v2", p, 64))
			a := r.word(p)
			step("alloc", r.call("cuMemAlloc_v2", p, 64))
			step("h2d", r.call("cuMemcpyHtoD_v2", a, h, 64))
			step("launch", r.launchOn(0, f, dims{grid: 1, block: 16}, a, a, a, 16))
			step("sync", r.call("cuCtxSynchronize"))
			step("d2h", r.call("cuMemcpyDtoH_v2", h, a, 64))
		}
		if at != c.at || code != c.code {
			t.Errorf("%s: %d at %s, want %d at %s", c.fail, code, at, c.code, c.at)
		}
		sticky := r.call("cuCtxSynchronize")
		if want := map[bool]int{true: c.code}[c.code >= 700 && c.code != 701]; sticky != want {
			t.Errorf("%s: afterwards %d, want %d", c.fail, sticky, want)
		}
		r.ok("cuCtxDestroy_v2", r.ctx[0]) // and a new context works
		r.ok("cuCtxCreate_v2", p, 0, 0)
		r.alloc(4)
	}
	r := start(t, Config{})
	r.alloc(4)
	r.state.Set("FAIL=0:alloc:2:2") // while it runs
	r.alloc(4)
	r.want(2, "cuMemAlloc_v2", r.mem(8), 4)
	r.alloc(4)
}

func TestLimits(t *testing.T) {
	r := start(t, Config{SM: []int{80}})
	f := r.kernel(`.visible .entry k() .maxntid 64, 2, 1 { .shared .align 4 .b8 s[1024]; ret; }`)
	for _, c := range []struct {
		gx, gy, bx, by, bz, shared uint64
		code                       int
	}{
		{1, 1, 128, 1, 1, 0, 0}, {1, 1, 129, 1, 1, 0, 701}, {0, 1, 1, 1, 1, 0, 1}, {1, 1, 0, 1, 1, 0, 1}, {1, 65536, 1, 1, 1, 0, 1},
		{1, 1, 1, 1, 65, 0, 1}, {1, 1, 1025, 1, 1, 0, 1}, {1, 1, 1, 1, 1, 47 << 10, 0}, {1, 1, 1, 1, 1, 48 << 10, 1},
	} {
		if code := r.call("cuLaunchKernel", f, c.gx, c.gy, 1, c.bx, c.by, c.bz, c.shared, 0, 0, 0); code != c.code {
			t.Errorf("%+v: %d", c, code)
		}
	}
	r.want(1, "cuFuncSetAttribute", f, 8, 166912)
	r.ok("cuFuncSetAttribute", f, 8, 166912-1024)
	r.ok("cuLaunchKernel", f, 1, 1, 1, 1, 1, 1, 166912-1024, 0, 0, 0)
	r.want(1, "cuLaunchKernel", f, 1, 1, 1, 1, 1, 1, 166912, 0, 0, 0)
	r.ok("cuCtxSynchronize")
	for ptx, code := range map[string]int{
		"garbage": 218, ".version 8.0\n.target sm_90\n.address_size 64\n": 209, ".version 99.0\n.target sm_80\n.address_size 64\n": 222, "\x7fELF and so on": 209,
	} {
		r.want(code, "cuModuleLoadData", r.mem(8), r.cstring(ptx))
	}
	for _, bad := range []string{"frobnicate.b32 %a, %a;", "add.u32.magic %a, %a, %a;", "add.u32 %a, %a;", "ld.global.v3.u32 {%a, %a, %a}, [%d];",
		"wmma.load.a.sync.aligned %a, [%d];"} {
		code, _ := r.load(".visible .entry k() { .reg .b32 %a; .reg .b64 %d;\n" + bad + "\nret; }")
		if code != 218 {
			t.Errorf("%s: %d", bad, code)
		}
		r.refused("PTX line 5", bad[:len(bad)-1])
	}
}

func TestNoDevice(t *testing.T) {
	r := process(t, "libcuda.so.1", Config{NoDevices: true})
	r.want(100, "cuInit", 0)
	r.want(801, "cuTexRefSetArray", 0)
}
