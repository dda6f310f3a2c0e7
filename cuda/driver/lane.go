//go:build cuda && cgo

package driver

// #include "native.h"
import "C"

import (
	"fmt"
	goruntime "runtime"
	"unsafe"

	"github.com/aimass/aimass/cuda"
	cu "gorgonia.org/cu"
)

// Lane is a goroutine locked to an OS thread to which a context is current, and a stream.
// Two lanes of a context overlap: one copies while the other computes.
type Lane struct {
	c      *Context
	stream cu.Stream
	work   chan task
	gone   chan struct{}
}

type task struct {
	f    func() error
	done chan error
}

// newLane starts a lane.
func (c *Context) newLane() (*Lane, error) {
	l := &Lane{c: c, work: make(chan task), gone: make(chan struct{})}
	ready := make(chan error)
	go l.loop(ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lanes = append(c.lanes, l)
	return l, nil
}

func (l *Lane) loop(ready chan<- error) {
	goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine
	defer close(l.gone)
	err := l.c.typed(cu.SetCurrentContext(l.c.ctx), "make context current")
	if err == nil {
		l.stream, err = cu.MakeStream(cu.NonBlocking)
		err = l.c.typed(err, "create stream")
	}
	ready <- err
	if err != nil {
		return
	}
	for t := range l.work {
		t.done <- t.f()
	}
}

// Do runs f on the lane's thread and waits for it.
func (l *Lane) Do(f func() error) error {
	t := task{f, make(chan error, 1)}
	select {
	case l.work <- t:
		return <-t.done
	case <-l.gone:
		return fmt.Errorf("%v: the context is closed", l.c.info)
	}
}

func (l *Lane) close() error {
	err := l.Do(func() error { return l.c.typed(l.stream.Destroy(), "destroy stream") })
	close(l.work)
	<-l.gone
	return err
}

// Launch enqueues the launches on the lane's stream, in one call of C. It runs within Do.
func (l *Lane) Launch(list []cuda.Launch) error {
	if len(list) == 0 {
		return nil
	}
	calls := make([]C.aimass_launch, len(list))
	var args []uint64
	for i := range list {
		fn, err := l.c.function(&list[i])
		if err != nil {
			return err
		}
		calls[i] = C.aimass_launch{function: C.uint64_t(uintptr(handle(fn))), shared: C.uint32_t(list[i].Shared), args: C.uint32_t(len(list[i].Args))}
		calls[i].grid, calls[i].block = extent(list[i].Grid), extent(list[i].Block)
		args = append(args, list[i].Args...)
	}
	if len(args) == 0 {
		args = make([]uint64, 1)
	}
	var failed C.uint32_t
	code := C.aimass_launch_all(&calls[0], C.uint32_t(len(calls)), (*C.uint64_t)(unsafe.Pointer(&args[0])), handle(l.stream), &failed)
	if code != 0 {
		at := list[failed]
		return &Error{Code: Code(code), Op: "launch " + at.Module + "." + at.Kernel, Device: l.c.info.String(), Detail: fmt.Sprintf("grid %v, block %v, %d bytes of shared memory", at.Grid, at.Block, at.Shared)}
	}
	return nil
}

func extent(d cuda.Dim3) (e [3]C.uint32_t) {
	for i, n := range [3]uint32{d.X, d.Y, d.Z} {
		e[i] = C.uint32_t(max(n, 1))
	}
	return e
}

// Sync waits until the lane's stream is empty. It runs within Do.
func (l *Lane) Sync() error { return l.c.typed(l.stream.Synchronize(), "wait for the stream") }
