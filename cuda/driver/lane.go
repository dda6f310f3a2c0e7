//go:build cuda && cgo

package driver

// #include "native.h"
import "C"

import (
	"errors"
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
	events []cu.Event
	work   chan task
	gone   chan struct{}
}

type task struct {
	f    func() error
	done chan error
}

// Lane starts a lane; it ends with the context.
func (c *Context) Lane() (*Lane, error) {
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
	err := l.Do(func() error {
		var err error
		for i := range l.events {
			err = errors.Join(err, l.c.typed(cu.DestroyEvent(&l.events[i]), "destroy event"))
		}
		return errors.Join(err, l.c.typed(l.stream.Destroy(), "destroy stream"))
	})
	close(l.work)
	<-l.gone
	return err
}

// call is a launch list as C takes it.
type call struct {
	list []C.aimass_launch
	args []uint64
}

// resolve finds the functions of the launches; it loads modules that are not there yet.
func (l *Lane) resolve(list []cuda.Launch) (*call, error) {
	c := &call{list: make([]C.aimass_launch, len(list))}
	for i := range list {
		fn, err := l.c.function(&list[i])
		if err != nil {
			return nil, err
		}
		c.list[i] = C.aimass_launch{function: C.uint64_t(uintptr(handle(fn))), shared: C.uint32_t(list[i].Shared), args: C.uint32_t(len(list[i].Args))}
		c.list[i].grid, c.list[i].block = extent(list[i].Grid), extent(list[i].Block)
		c.args = append(c.args, list[i].Args...)
	}
	if len(c.args) == 0 {
		c.args = make([]uint64, 1)
	}
	return c, nil
}

func (c *call) pointers() (*C.aimass_launch, C.uint32_t, *C.uint64_t) {
	return &c.list[0], C.uint32_t(len(c.list)), (*C.uint64_t)(unsafe.Pointer(&c.args[0]))
}

func (l *Lane) failed(code C.int, at *cuda.Launch) error {
	return &Error{Code: Code(code), Op: "launch " + at.Module + "." + at.Kernel, Device: l.c.info.String(),
		Detail: fmt.Sprintf("grid %v, block %v, %d bytes of shared memory", at.Grid, at.Block, at.Shared)}
}

// Launch enqueues the launches on the lane's stream, in one call of C. It runs within Do.
func (l *Lane) Launch(list []cuda.Launch) error {
	if len(list) == 0 {
		return nil
	}
	c, err := l.resolve(list)
	if err != nil {
		return err
	}
	calls, n, args := c.pointers()
	var failed C.uint32_t
	if code := C.aimass_launch_all(calls, n, args, handle(l.stream), &failed); code != 0 {
		return l.failed(code, &list[failed])
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

// Graph is a captured launch list. It belongs to its context.
type Graph struct{ exec unsafe.Pointer }

// Capture makes a graph of the launches, which then costs one call. It runs within Do.
func (l *Lane) Capture(list []cuda.Launch) (*Graph, error) {
	if len(list) == 0 {
		return nil, nil
	}
	c, err := l.resolve(list)
	if err != nil {
		return nil, err
	}
	calls, n, args := c.pointers()
	var failed C.uint32_t
	g := &Graph{}
	if code := C.aimass_capture(calls, n, args, handle(l.stream), &g.exec, &failed); code != 0 {
		return nil, l.failed(code, &list[failed])
	}
	return g, nil
}

// Drop frees a graph. It runs within Do.
func (l *Lane) Drop(g *Graph) error {
	if g == nil {
		return nil
	}
	return check(C.aimass_graph_free(g.exec), "free graph", l.c.info.String())
}

// Copies is a list of copies that Execute enqueues.
type Copies struct{ list []C.aimass_copy }

// In adds a copy from pinned memory to the device.
func (c *Copies) In(dst cuda.Ptr, src []byte) {
	if len(src) > 0 {
		c.list = append(c.list, C.aimass_copy{dst: C.uint64_t(dst), src: address(src), bytes: C.uint64_t(len(src))})
	}
}

// Out adds a copy from the device to pinned memory.
func (c *Copies) Out(dst []byte, src cuda.Ptr) {
	if len(dst) > 0 {
		c.list = append(c.list, C.aimass_copy{dst: address(dst), src: C.uint64_t(src), bytes: C.uint64_t(len(dst))})
	}
}

// Peer adds a copy from another device's memory.
func (c *Copies) Peer(dst, src cuda.Ptr, from *Context, bytes int64) {
	if bytes > 0 {
		c.list = append(c.list, C.aimass_copy{dst: C.uint64_t(dst), src: C.uint64_t(src), bytes: C.uint64_t(bytes), from: C.uint64_t(uintptr(handle(from.ctx)))})
	}
}

// address is that of pinned memory, which is C's.
func address(b []byte) C.uint64_t { return C.uint64_t(uintptr(unsafe.Pointer(&b[0]))) }

func (c *Copies) pointers() (*C.aimass_copy, C.uint32_t) {
	if c == nil || len(c.list) == 0 {
		return nil, 0
	}
	return &c.list[0], C.uint32_t(len(c.list))
}

var stages = [...]string{"copy in", "launch graph", "copy out", "wait for the stream", "wait for an event", "record an event"}

// Event marks a place in a lane's stream for which those of other devices can wait. It
// lives as long as its lane.
type Event struct{ at unsafe.Pointer }

// Event makes one. It runs within Do.
func (l *Lane) Event() (*Event, error) {
	e, err := cu.MakeEvent(cu.DisableTiming)
	if err != nil {
		return nil, l.c.typed(err, "create event")
	}
	l.events = append(l.events, e)
	return &Event{handle(e)}, nil
}

// Enqueue does what Execute does, after what is before the events and without waiting; done, unless
// it is nil, is then recorded. It runs within Do.
func (l *Lane) Enqueue(after []*Event, in *Copies, g *Graph, out *Copies, done *Event) error {
	var exec, mark unsafe.Pointer
	if g != nil {
		exec = g.exec
	}
	if done != nil {
		mark = done.at
	}
	waits := make([]unsafe.Pointer, len(after), max(len(after), 1))
	for i, e := range after {
		waits[i] = e.at
	}
	a, na := in.pointers()
	b, nb := out.pointers()
	var stage C.int
	code := C.aimass_enqueue(handle(l.c.ctx), handle(l.stream), unsafe.SliceData(waits), C.uint32_t(len(waits)), a, na, exec, b, nb, mark, &stage)
	if code != 0 {
		return &Error{Code: Code(code), Op: stages[stage], Device: l.c.info.String()}
	}
	return nil
}

// Execute copies in, runs the graph, copies out and waits, in one call of C; each may be
// nil. It runs within Do.
func (l *Lane) Execute(in *Copies, g *Graph, out *Copies) error {
	var exec unsafe.Pointer
	if g != nil {
		exec = g.exec
	}
	a, na := in.pointers()
	b, nb := out.pointers()
	var stage C.int
	code := C.aimass_execute(handle(l.c.ctx), handle(l.stream), a, na, exec, b, nb, &stage)
	if code != 0 {
		return &Error{Code: Code(code), Op: stages[stage], Device: l.c.info.String()}
	}
	return nil
}
