package sock

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher learns from an epoll set of its own which clients have closed their end. A connection is added once, at the
// first request that waits, so that requests cost no system call.
type watcher struct {
	file *os.File // the epoll set

	mu    sync.Mutex
	conns map[int32]*Conn
	next  int32
	ids   map[*Conn]int32
}

// newWatcher returns nil where the system gives no epoll set.
func newWatcher() *watcher {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil
	}
	w := &watcher{file: os.NewFile(uintptr(fd), "epoll"), conns: map[int32]*Conn{}, ids: map[*Conn]int32{}}
	raw, err := w.file.SyscallConn()
	if err != nil {
		_ = w.file.Close()
		return nil
	}
	go w.run(raw)
	return w
}

// run ends when the file is closed.
func (w *watcher) run(raw syscall.RawConn) {
	events := make([]unix.EpollEvent, 256)
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return n > 0 || err != nil && err != unix.EINTR
		})
		if err != nil {
			return
		}
		w.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			if c := w.conns[e.Fd]; c != nil {
				c.leave()
			}
		}
		w.mu.Unlock()
	}
}

// add has c.leave called when c's client goes away, now or later.
func (w *watcher) add(c *Conn) bool {
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	set, err := w.file.SyscallConn()
	if err != nil {
		return false
	}
	w.mu.Lock()
	for w.next++; w.conns[w.next] != nil; w.next++ {
	}
	id := w.next
	w.conns[id], w.ids[c] = c, id
	w.mu.Unlock()
	// Edge-triggered, so that a client that stays gone is told of once. Its number stands in place of the descriptor, which
	// the system may give to the next connection.
	event := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: id}
	added := error(nil)
	err = set.Control(func(epoll uintptr) {
		if err := raw.Control(func(fd uintptr) {
			added = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &event)
		}); err != nil {
			added = err
		}
	})
	if err != nil || added != nil {
		w.forget(c)
		return false
	}
	return true
}

// forget ends the watch of a connection, which leaves the epoll set itself when it is closed.
func (w *watcher) forget(c *Conn) {
	w.mu.Lock()
	delete(w.conns, w.ids[c])
	delete(w.ids, c)
	w.mu.Unlock()
}

func (w *watcher) close() { _ = w.file.Close() }
