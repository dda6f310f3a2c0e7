package gpu

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/driver"
)

// gpu is one device of the driver's. Its context is made when a program first needs it.
type gpu struct {
	info driver.Info
	drv  *driver.Driver

	mu    sync.Mutex
	ctx   *driver.Context
	lanes []*lane
	// reach remembers which devices' memory kernels here can read.
	reach map[*gpu]bool
	users int // programs that have memory here
	lost  atomic.Pointer[string]
}

// lane is a driver's lane with what programs share on it: an arena and pinned memory. The
// lock is held by the run that uses it. A generation counts up when memory moves, and
// what was captured with the old addresses is made again.
type lane struct {
	mu         sync.Mutex
	lane       *driver.Lane
	events     []*driver.Event // for plans whose devices wait for each other
	arena      cuda.Ptr
	size       int64
	staging    []byte
	generation uint64
}

// errLost wraps the error of a device that was taken out before.
var errLost = errors.New("the device was taken out")

// open makes the context and the lanes, once.
func (g *gpu) open(lanes int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if why := g.lost.Load(); why != nil {
		return fmt.Errorf("%v: %w: %s", g.info, errLost, *why)
	}
	if g.ctx != nil {
		return nil
	}
	ctx, err := g.drv.Context(g.info.Index)
	if err != nil {
		return err
	}
	var list []*lane
	for range lanes {
		l, err := ctx.Lane()
		if err != nil {
			return errors.Join(err, ctx.Close())
		}
		list = append(list, &lane{lane: l})
	}
	g.ctx, g.lanes, g.reach = ctx, list, map[*gpu]bool{}
	return nil
}

// reaches reports whether kernels here can read the other's memory.
func (g *gpu) reaches(other *gpu) bool {
	if g == other {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	ok, known := g.reach[other]
	if !known && g.ctx != nil && other.ctx != nil {
		var err error
		if ok, err = g.ctx.Reach(other.ctx); err != nil {
			return false
		}
		g.reach[other] = ok
	}
	return ok
}

// fit makes the lane's arena and pinned memory at least as large as asked. The lane is
// locked.
func (g *gpu) fit(l *lane, arena int64, staging int) error {
	if arena > l.size {
		l.generation++
		err := l.lane.Do(func() (err error) {
			if err := l.lane.Free(l.arena); err != nil {
				return err
			}
			l.arena, l.size = 0, 0
			l.arena, err = l.lane.Alloc(arena)
			return err
		})
		if err != nil {
			return err
		}
		l.size = arena
	}
	if staging > len(l.staging) {
		l.generation++
		if err := g.ctx.Unpin(l.staging); err != nil {
			return err
		}
		l.staging = nil
		b, err := g.ctx.Pinned(staging)
		if err != nil {
			return err
		}
		l.staging = b
	}
	return nil
}

// marks makes the two events that a lane records in turn.
func (l *lane) marks() error {
	return l.lane.Do(func() error {
		for len(l.events) < 2 {
			e, err := l.lane.Event()
			if err != nil {
				return err
			}
			l.events = append(l.events, e)
		}
		return nil
	})
}

// enter counts a program that uses the device; leave gives the arenas back after the last.
func (g *gpu) enter() {
	g.mu.Lock()
	g.users++
	g.mu.Unlock()
}

func (g *gpu) leave() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users--
	if g.users > 0 || g.ctx == nil {
		return nil
	}
	if g.lost.Load() != nil {
		// Every call on a poisoned context may fail. Its end frees the device's memory, but pinned
		// memory is the host's.
		for _, l := range g.lanes {
			_ = g.ctx.Unpin(l.staging)
		}
		_ = g.ctx.Close()
		g.ctx, g.lanes = nil, nil
		return nil
	}
	var err error
	for _, l := range g.lanes {
		l.mu.Lock()
		err = errors.Join(err, l.lane.Do(func() error { return errors.Join(l.lane.Free(l.arena), l.lane.Sync()) }), g.ctx.Unpin(l.staging))
		l.arena, l.size, l.staging = 0, 0, nil
		l.generation++
		l.mu.Unlock()
	}
	return errors.Join(err, g.ctx.Trim())
}

// lose takes the device out: its context is of no more use. It reports whether it was in.
func (g *gpu) lose(why string) bool {
	return g.lost.CompareAndSwap(nil, &why)
}

// drop closes the context of a device that nothing uses any more.
func (g *gpu) drop() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx == nil {
		return nil
	}
	ctx := g.ctx
	g.ctx, g.lanes = nil, nil
	return ctx.Close()
}

// free is the memory that is left, in bytes.
func (g *gpu) free() (int64, error) {
	g.mu.Lock()
	ctx := g.ctx
	g.mu.Unlock()
	if ctx == nil {
		return g.info.Memory, nil
	}
	free, _, err := ctx.Memory()
	return free, err
}
