//go:build cuda && cgo

package driver

// #include "native.h"
import "C"

import (
	"errors"
	"fmt"

	"github.com/aimass/aimass/cuda"
	cu "gorgonia.org/cu"
)

// Alloc takes memory in the order of the lane's stream: what is enqueued on it later may use the
// memory. Nothing else of the device waits, as it would for Context.Free. A device without pools
// gives plain memory. 0 bytes are none and the null pointer. It runs within Do.
func (l *Lane) Alloc(n int64) (cuda.Ptr, error) {
	if n <= 0 {
		return 0, nil
	}
	p, err := l.alloc(n)
	if errors.Is(err, OutOfMemory) && l.c.info.Pools {
		// What other streams have freed becomes free for this one by a wait.
		if err := errors.Join(l.Sync(), l.c.trim()); err != nil {
			return 0, err
		}
		p, err = l.alloc(n)
	}
	if err != nil {
		return 0, err
	}
	l.c.took(p, n)
	return p, nil
}

func (l *Lane) alloc(n int64) (cuda.Ptr, error) {
	what := fmt.Sprintf("allocate %d bytes", n)
	if !l.c.info.Pools {
		p, err := cu.MemAlloc(n)
		return cuda.Ptr(p), l.c.typed(err, what)
	}
	var p C.uint64_t
	err := check(C.aimass_pool_alloc(&p, C.uint64_t(n), handle(l.stream)), what+" of the pool", l.c.info.String())
	return cuda.Ptr(p), err
}

// Free gives memory of Alloc back once the stream has done what is enqueued on it. Other lanes must
// have done with it. It runs within Do.
func (l *Lane) Free(p cuda.Ptr) error {
	if p == 0 {
		return nil
	}
	l.c.gave(p)
	if !l.c.info.Pools {
		return l.c.typed(cu.MemFree(cu.DevicePtr(p)), "free")
	}
	return check(C.aimass_pool_free(C.uint64_t(p), handle(l.stream)), "free to the pool", l.c.info.String())
}

// trim gives what the device's pool keeps and nobody uses back to the device. It runs on a lane.
func (c *Context) trim() error {
	return check(C.aimass_pool_trim(C.int(c.dev)), "trim the memory pool", c.info.String())
}

// Trim gives back what the device's pool keeps for lanes and none uses.
func (c *Context) Trim() error {
	if !c.info.Pools {
		return nil
	}
	return c.main.Do(c.trim)
}
