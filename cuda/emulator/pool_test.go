//go:build unix

package emulator

import "testing"

// ordered allocates on a stream.
func (r *rig) ordered(stream uint64, n int) uint64 {
	r.t.Helper()
	p := r.mem(8)
	r.ok("cuMemAllocAsync", p, uint64(n), stream)
	return r.word(p)
}

// pool is the pool of a device.
func (r *rig) pool(device int) uint64 {
	r.t.Helper()
	p := r.mem(8)
	r.ok("cuDeviceGetDefaultMemPool", p, uint64(device))
	return r.word(p)
}

// live holds the bytes that a device's memory is short of.
func (r *rig) live(want uint64) {
	r.t.Helper()
	if got := r.state.Counter("live.0"); got != want {
		r.t.Errorf("%d bytes live, want %d", got, want)
	}
}

func TestStreamOrderedMemory(t *testing.T) {
	r := start(t, Config{})
	s := r.stream(1)
	a := r.ordered(s, 4096)
	r.ok("cuMemsetD32Async", a, 5, 1024, s)
	r.ok("cuMemFreeAsync", a, s)
	r.live(4096) // the stream has not come to it
	r.ok("cuStreamSynchronize", s)
	r.live(0)
	r.want(1, "cuMemFreeAsync", a, s)
	b := r.ordered(s, 64)
	r.ok("cuMemFreeAsync", b, s)
	r.want(1, "cuMemFreeAsync", b, s)
	r.refused("has had before")
	r.ok("cuStreamBeginCapture_v2", s, 0)
	r.want(801, "cuMemAllocAsync", r.mem(8), 64, s)
}

// TestOrderOfUse uses stream-ordered memory before its allocation and after its free, on the same stream
// and on another, with an event between and without.
func TestOrderOfUse(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		use          func(r *rig, s, other uint64) (waits uint64)
	}{
		{"elsewhere, unordered", "cuMemAllocAsync on a stream that has not reached it", func(r *rig, s, other uint64) uint64 {
			r.ok("cuMemsetD32Async", r.ordered(s, 64), 5, 16, other)
			return other
		}},
		{"elsewhere, behind an event", "", func(r *rig, s, other uint64) uint64 {
			a, e := r.ordered(s, 64), r.event()
			r.ok("cuEventRecord", e, s)
			r.ok("cuStreamWaitEvent", other, e, 0)
			r.ok("cuMemsetD32Async", a, 5, 16, other)
			return other
		}},
		{"after the free", "were freed", func(r *rig, s, other uint64) uint64 {
			a := r.ordered(s, 64)
			r.ok("cuMemFreeAsync", a, s)
			r.ok("cuMemsetD32Async", a, 5, 16, s)
			return s
		}},
		{"elsewhere, enqueued after the free", "was given to cuMemFreeAsync before this was enqueued", func(r *rig, s, other uint64) uint64 {
			a := r.ordered(s, 64)
			r.ok("cuStreamSynchronize", s)
			r.ok("cuMemFreeAsync", a, s)
			r.ok("cuMemsetD32Async", a, 5, 16, other)
			return other
		}},
		{"elsewhere, enqueued before the free", "", func(r *rig, s, other uint64) uint64 {
			a, e := r.ordered(s, 64), r.event()
			r.ok("cuStreamSynchronize", s)
			r.ok("cuMemsetD32Async", a, 5, 16, other)
			r.ok("cuEventRecord", e, other)
			r.ok("cuStreamWaitEvent", s, e, 0)
			r.ok("cuMemFreeAsync", a, s)
			return s
		}},
		{"a kernel, enqueued after the free", "was given to cuMemFreeAsync", func(r *rig, s, other uint64) uint64 {
			a, f := r.ordered(s, 64), r.kernel(add)
			r.ok("cuStreamSynchronize", s)
			r.ok("cuMemFreeAsync", a, s)
			if code := r.launchOn(other, f, dims{grid: 1, block: 32}, a, a, a, 16); code != 0 {
				r.t.Fatalf("launch: %d", code)
			}
			return other
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, Config{})
			s, other := r.stream(1), r.stream(1)
			waits := c.use(r, s, other)
			if c.reason == "" {
				r.ok("cuStreamSynchronize", waits)
				return
			}
			r.want(700, "cuStreamSynchronize", waits)
			r.refused(c.reason)
		})
	}
}

// TestPoolAccounts holds what a pool keeps, gives back and can't have to the driver's rules.
func TestPoolAccounts(t *testing.T) {
	r := start(t, Config{MemoryMiB: []int{1}})
	s, other := r.stream(1), r.stream(1)
	pool, v := r.pool(0), r.mem(8)
	r.write(v, []byte{0, 0, 8, 0, 0, 0, 0, 0}) // a threshold of 512 KiB
	r.ok("cuMemPoolSetAttribute", pool, 4, v)
	a := r.ordered(s, 768<<10)
	r.ok("cuMemFreeAsync", a, s)
	r.want(2, "cuMemAllocAsync", v, 768<<10, other) // it does not know that the other stream will have freed
	b := r.ordered(s, 768<<10)                      // this stream does
	r.live(768 << 10)
	r.want(2, "cuMemAlloc_v2", v, 512<<10)
	r.ok("cuMemFreeAsync", b, s)
	r.ok("cuStreamSynchronize", s)
	r.live(512 << 10)
	for attribute, want := range map[uint64]uint64{5: 512 << 10, 6: 768 << 10, 7: 0, 8: 768 << 10} {
		if r.ok("cuMemPoolGetAttribute", pool, attribute, v); r.word(v) != want {
			t.Errorf("attribute %d is %d, want %d", attribute, r.word(v), want)
		}
	}
	c := r.ordered(s, 256<<10)
	r.live(512 << 10) // out of what the pool has
	r.ok("cuMemPoolTrimTo", pool, 0)
	r.live(256 << 10)
	r.ok("cuMemFree_v2", c)
	r.ok("cuMemPoolTrimTo", pool, 0)
	r.live(0)
	r.want(1, "cuMemPoolDestroy", pool)
}

// TestPoolOfOneOwn makes, uses and destroys a pool.
func TestPoolOfOneOwn(t *testing.T) {
	r := start(t, Config{})
	s, p, props := r.stream(1), r.mem(8), r.mem(88)
	r.write(props, []byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}) // pinned, no handles, device 0
	r.ok("cuMemPoolCreate", p, props)
	pool := r.word(p)
	r.ok("cuDeviceSetMemPool", 0, pool)
	a := r.ordered(s, 4096)
	r.ok("cuMemPoolDestroy", pool)
	r.want(1, "cuMemPoolTrimTo", pool, 0)
	r.live(4096)
	r.ok("cuMemFreeAsync", a, s)
	r.ok("cuStreamSynchronize", s)
	r.live(0)
}

// TestPoolPeers reads a pool's memory from another device with peer access between the contexts alone, and with
// access to the pool.
func TestPoolPeers(t *testing.T) {
	access := func(r *rig, device byte) uint64 {
		p := r.mem(12)
		r.write(p, []byte{1, 0, 0, 0, device, 0, 0, 0, 3, 0, 0, 0})
		return p
	}
	for _, shared := range []bool{false, true} {
		r := start(t, Config{Devices: 3, NoPeer: "0-2"})
		r.ok("cuCtxSetCurrent", r.ctx[1])
		s := r.stream(1)
		a := r.ordered(s, 64)
		r.ok("cuMemsetD32Async", a, 0, 16, s)
		r.ok("cuStreamSynchronize", s)
		r.ok("cuCtxSetCurrent", r.ctx[0])
		f, b := r.kernel(add), r.alloc(64)
		r.ok("cuCtxEnablePeerAccess", r.ctx[1], 0)
		code := 700
		if shared {
			r.ok("cuMemPoolSetAccess", r.pool(1), access(r, 0), 1)
			r.want(1, "cuMemPoolSetAccess", r.pool(0), access(r, 2), 1)
			code = 0
		}
		if got := r.run(f, dims{grid: 1, block: 32}, a, a, b, 16); got != code {
			t.Errorf("shared %v: %d, want %d", shared, got, code)
		}
		if !shared {
			r.refused("cuMemPoolSetAccess gave device 0 no access")
		}
	}
}

func TestNoPools(t *testing.T) {
	r := start(t, Config{Extra: []string{"POOLS=0"}})
	v := r.mem(8)
	if r.ok("cuDeviceGetAttribute", v, 115, 0); r.int(v) != 0 {
		t.Error("the device says that it has pools")
	}
	r.want(801, "cuMemAllocAsync", v, 64, r.stream(1))
	r.want(801, "cuDeviceGetDefaultMemPool", v, 0)
}
