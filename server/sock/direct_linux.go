package sock

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aimass/aimass/internal/race"
)

// direct moves bytes through a socket by raw system calls, without telling Go's scheduler that its thread is in the kernel. Sockets
// never block, so a call takes some microseconds. Were the scheduler told, its monitor would take the call for a blocking one wherever
// the kernel preempts the thread meanwhile, and start one more thread in its place; both want the core from then on and alternate by
// the kernel's time slices, during which the request in the first one waits.
//
// A direct belongs to its Conn: one read and one write may be under way at once.
type direct struct {
	conn      syscall.RawConn
	in, out   []byte
	got, sent int
	readErr   unix.Errno
	writeErr  unix.Errno
	// recv and send, bound once: a method value made for each call would be an allocation.
	recvCall, sendCall func(fd uintptr) bool
}

// maxDirect bounds what one call may move, and thus how long the scheduler isn't told.
const maxDirect = 64 << 10

// newDirect returns nil for what isn't a TCP socket, and for the race detector: it learns from the calls of a net.Conn what happens before what.
func newDirect(c net.Conn) *direct {
	t, ok := c.(*net.TCPConn)
	if !ok || race.Enabled {
		return nil
	}
	conn, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{conn: conn}
	d.recvCall, d.sendCall = d.recv, d.send
	return d
}

func (d *direct) recv(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&d.in[0])), uintptr(len(d.in)), 0, 0, 0)
		switch errno {
		case 0:
			d.got, d.readErr = int(n), 0
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			d.got, d.readErr = 0, errno
		}
		return true
	}
}

func (d *direct) send(fd uintptr) bool {
	for d.sent < len(d.out) {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&d.out[d.sent])), uintptr(len(d.out)-d.sent), unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			d.sent += int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			d.writeErr = errno
			return true
		}
	}
	return true
}

// receive reads what is there, or waits for something.
func (c *Conn) receive(p []byte) (int, error) {
	d := c.direct
	if d == nil || len(p) == 0 || len(p) > maxDirect {
		return c.Conn.Read(p)
	}
	d.in = p
	err := d.conn.Read(d.recvCall)
	d.in = nil
	switch {
	case err != nil:
		return 0, err
	case d.readErr != 0:
		return 0, c.failed("read", "recvfrom", d.readErr)
	case d.got == 0:
		return 0, io.EOF
	}
	return d.got, nil
}

// transmit writes all of p.
func (c *Conn) transmit(p []byte) (int, error) {
	d := c.direct
	if d == nil || len(p) > maxDirect {
		return c.Conn.Write(p)
	}
	d.out, d.sent, d.writeErr = p, 0, 0
	err := d.conn.Write(d.sendCall)
	d.out = nil
	if err == nil && d.writeErr != 0 {
		err = c.failed("write", "sendto", d.writeErr)
	}
	return d.sent, err
}

// failed is the error that a net.Conn would give.
func (c *Conn) failed(op, call string, errno unix.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, errno)}
}
