//go:build cuda && cgo

package driver

// #include <stdlib.h>
// #include "native.h"
import "C"

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"unsafe"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/ptx"
	cu "gorgonia.org/cu"
)

// Context is a device made ready for use: its primary context, modules and memory. Calls
// go through a worker, a goroutine locked to an OS thread to which the context is current.
type Context struct {
	info Info
	dev  cu.Device
	ctx  cu.CUContext
	main *Lane

	mu        sync.Mutex
	modules   map[string]cu.Module
	functions map[string]*function
	live      map[cuda.Ptr]int64
	bytes     int64
	lanes     []*Lane
	closed    bool
}

// function is an entry of a module; shared is the dynamic shared memory it may use.
type function struct {
	fn     cu.Function
	shared uint32
}

// defaultShared is the dynamic shared memory that a function may use without asking.
const defaultShared = 48 << 10

// Context retains the primary context of device i.
func (d *Driver) Context(i int) (*Context, error) {
	if i < 0 || i >= len(d.devices) {
		return nil, fmt.Errorf("there is no device cuda:%d: the driver offers cuda:0 to cuda:%d", i, len(d.devices)-1)
	}
	c := &Context{info: d.devices[i], dev: cu.Device(i), modules: map[string]cu.Module{}, functions: map[string]*function{}, live: map[cuda.Ptr]int64{}}
	var err error
	if c.ctx, err = c.dev.RetainPrimaryCtx(); err != nil {
		return nil, c.typed(err, "retain context")
	}
	if c.main, err = c.Lane(); err != nil {
		return nil, errors.Join(err, c.typed(c.dev.ReleasePrimaryCtx(), "release context"))
	}
	return c, nil
}

// Info describes the device.
func (c *Context) Info() Info { return c.info }

func (c *Context) typed(err error, op string) error { return typed(err, op, c.info.String()) }

// Load compiles a module; what is loaded already stays.
func (c *Context) Load(module string, text []byte) error {
	return c.main.Do(func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.load(module, text)
	})
}

// load compiles a module that is not there yet. It runs on a lane with c locked.
func (c *Context) load(module string, text []byte) error {
	if _, ok := c.modules[module]; ok {
		return nil
	}
	image := C.CString(string(text))
	defer C.free(unsafe.Pointer(image))
	const size = 8 << 10
	log := (*C.char)(C.malloc(size))
	defer C.free(unsafe.Pointer(log))
	var mod cu.Module
	if code := C.aimass_load((*unsafe.Pointer)(unsafe.Pointer(&mod)), unsafe.Pointer(image), log, size); code != 0 {
		err := &Error{Code: Code(code), Op: "load module " + module, Device: c.info.String(), Detail: C.GoString(log)}
		if err.Code.Refusal() {
			return fmt.Errorf("%w: they are PTX for compute capability %d.%d, the device has %d.%d: %w", ErrKernelsRefused, MinSM/10, MinSM%10, c.info.SM/10,
				c.info.SM%10, err)
		}
		return err
	}
	c.modules[module] = mod
	return nil
}

// function finds an entry, loading its module from cuda/ptx if Load has not, and lets it
// use that much shared memory. It runs on a lane.
func (c *Context) function(l *cuda.Launch) (cu.Function, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := l.Module + "." + l.Kernel
	f := c.functions[name]
	if f == nil {
		if _, ok := c.modules[l.Module]; !ok {
			text, err := ptx.Module(l.Module, c.info.SM)
			if err != nil {
				return cu.Function{}, fmt.Errorf("%v: kernel %s: %w", c.info, name, err)
			}
			if err := c.load(l.Module, text); err != nil {
				return cu.Function{}, err
			}
		}
		fn, err := c.modules[l.Module].Function(l.Kernel)
		if err != nil {
			return fn, c.typed(err, "find kernel "+name)
		}
		f = &function{fn: fn, shared: defaultShared}
		c.functions[name] = f
	}
	if l.Shared > f.shared {
		if err := check(C.aimass_shared_limit(handle(f.fn), C.int(l.Shared)), fmt.Sprintf("raise the shared memory of %s to %d bytes", name, l.Shared),
			c.info.String()); err != nil {
			return f.fn, err
		}
		f.shared = l.Shared
	}
	return f.fn, nil
}

// Alloc takes device memory that lasts; 0 bytes are none and the null pointer.
func (c *Context) Alloc(n int64) (cuda.Ptr, error) {
	if n <= 0 {
		return 0, nil
	}
	var p cu.DevicePtr
	err := c.main.Do(func() (err error) {
		if p, err = cu.MemAlloc(n); c.info.Pools && err != nil && c.trim() == nil {
			p, err = cu.MemAlloc(n)
		}
		return c.typed(err, fmt.Sprintf("allocate %d bytes", n))
	})
	if err != nil {
		return 0, err
	}
	c.took(cuda.Ptr(p), n)
	return cuda.Ptr(p), nil
}

// took and gave keep the account of Bytes.
func (c *Context) took(p cuda.Ptr, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[p] = n
	c.bytes += n
}

func (c *Context) gave(p cuda.Ptr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes -= c.live[p]
	delete(c.live, p)
}

// Free gives memory of Alloc back.
func (c *Context) Free(p cuda.Ptr) error {
	if p == 0 {
		return nil
	}
	c.gave(p)
	return c.main.Do(func() error { return c.typed(cu.MemFree(cu.DevicePtr(p)), "free") })
}

// Bytes is the device memory that Alloc, or a lane's, gave out and Free has not taken back.
func (c *Context) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// Memory is the device's free and total memory.
func (c *Context) Memory() (free, total int64, err error) {
	err = c.main.Do(func() (err error) {
		free, total, err = cu.MemInfo()
		return c.typed(err, "get free memory")
	})
	return free, total, err
}

// Upload copies to the device and waits.
func (c *Context) Upload(dst cuda.Ptr, src []byte) error {
	if len(src) == 0 {
		return nil
	}
	var pin goruntime.Pinner
	defer pin.Unpin()
	pin.Pin(&src[0])
	return c.main.Do(func() error {
		return c.typed(cu.MemcpyHtoD(cu.DevicePtr(dst), unsafe.Pointer(&src[0]), int64(len(src))), fmt.Sprintf("copy %d bytes in", len(src)))
	})
}

// Download copies from the device and waits.
func (c *Context) Download(dst []byte, src cuda.Ptr) error {
	if len(dst) == 0 {
		return nil
	}
	return c.main.Do(func() error {
		return c.typed(cu.MemcpyDtoH(unsafe.Pointer(&dst[0]), cu.DevicePtr(src), int64(len(dst))), fmt.Sprintf("copy %d bytes out", len(dst)))
	})
}

// Run enqueues the launches in order, waits for them and reports the first error.
func (c *Context) Run(list ...cuda.Launch) error {
	return c.main.Do(func() error {
		if err := c.main.Launch(list); err != nil {
			return err
		}
		return c.main.Sync()
	})
}

// Pinned takes host memory that the device copies from and to by itself.
func (c *Context) Pinned(n int) ([]byte, error) {
	var p unsafe.Pointer
	err := c.main.Do(func() error {
		return check(C.aimass_pinned(&p, C.uint64_t(max(n, 1))), fmt.Sprintf("allocate %d bytes of pinned memory", n), c.info.String())
	})
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// Unpin gives memory of Pinned back.
func (c *Context) Unpin(b []byte) error {
	p := unsafe.Pointer(unsafe.SliceData(b))
	if p == nil {
		return nil
	}
	return c.main.Do(func() error { return c.typed(cu.MemFreeHost(p), "free pinned memory") })
}

// Reach lets kernels on c's device read the memory of another's; ok is false where the
// hardware has no peer access between them.
func (c *Context) Reach(other *Context) (ok bool, err error) {
	err = c.main.Do(func() error {
		can, err := c.dev.CanAccessPeer(other.dev)
		if err != nil || can == 0 {
			return c.typed(err, "ask for peer access")
		}
		if err := c.typed(other.ctx.EnablePeerAccess(0), fmt.Sprintf("enable peer access to %v", other.info)); err != nil && CodeOf(err) != PeerAlreadyOn {
			if CodeOf(err) == PeerUnsupported || CodeOf(err) == 711 {
				return nil
			}
			return err
		}
		if other.info.Pools {
			if err := check(C.aimass_pool_share(C.int(other.dev), C.int(c.dev)), fmt.Sprintf("share the memory pool of %v", other.info), c.info.String()); err != nil {
				return err
			}
		}
		ok = true
		return nil
	})
	return ok, err
}

// Close ends the lanes and releases the context and with it what is still allocated.
func (c *Context) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	lanes := c.lanes
	c.mu.Unlock()
	err := c.main.Do(func() error {
		var first error
		for _, m := range c.modules {
			if err := c.typed(m.Unload(), "unload module"); first == nil {
				first = err
			}
		}
		return first
	})
	for i := len(lanes) - 1; i >= 0; i-- {
		err = errors.Join(err, lanes[i].close())
	}
	return errors.Join(err, c.typed(c.dev.ReleasePrimaryCtx(), "release context"))
}
