package batcher

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// turn lets a goroutine wait until those have been served whose requests have come meanwhile. Go's scheduler looks at sockets only when no
// goroutine is ready, so yielding to it won't do: the goroutine has to become ready by the network, too.
type turn struct {
	file *os.File
	conn syscall.RawConn
}

// newTurn returns nil where there is no file for it.
func newTurn() *turn {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil
	}
	t := &turn{file: os.NewFile(uintptr(fd), "turn")}
	if t.conn, err = t.file.SyscallConn(); err != nil {
		t.file.Close()
		return nil
	}
	return t
}

// pass waits.
func (t *turn) pass() {
	if t == nil {
		return
	}
	count := [8]byte{1}
	raised := false
	_ = t.conn.Read(func(fd uintptr) bool {
		if !raised {
			n, err := unix.Write(int(fd), count[:])
			raised = n > 0 && err == nil
			return !raised
		}
		_, err := unix.Read(int(fd), count[:])
		return err != unix.EAGAIN
	})
}
