package load

import (
	"errors"

	"golang.org/x/sys/unix"
)

// grow adds a connection.
func (d *httpDriver) grow() error {
	c := &conn{fd: -1, index: len(d.conns)}
	d.conns = append(d.conns, c)
	if err := d.connect(c); err != nil {
		d.conns = d.conns[:len(d.conns)-1]
		return err
	}
	d.idle = append(d.idle, c)
	return nil
}

// connect opens the socket; the handshake may still be going on when it returns.
func (d *httpDriver) connect(c *conn) error {
	fd, err := unix.Socket(d.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // a matter of speed only
	if err := unix.Connect(fd, d.address); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return err
	}
	c.fd, c.writing, c.served = fd, false, false
	d.watch(c, unix.EPOLLIN, unix.EPOLL_CTL_ADD)
	return nil
}

func (d *httpDriver) hangUp(c *conn) {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
	c.writing = false
}

// ready handles a socket's event.
func (d *httpDriver) ready(c *conn, events uint32) {
	if c.fd < 0 {
		return
	}
	if events&unix.EPOLLOUT != 0 && c.active && len(c.out) > 0 {
		d.write(c)
		if c.fd < 0 || !c.active {
			return
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return
	}
	n, err := unix.Read(c.fd, d.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil:
		d.broken(c, "read", err)
		return
	case n == 0:
		if c.active && c.resp.head && c.resp.left < 0 && !c.resp.chunked {
			d.answered(c)
			return
		}
		d.broken(c, "read", errors.New("the server closed the connection"))
		return
	case !c.active:
		d.hangUp(c) // bytes that nobody asked for
		return
	}
	used, done, err := c.resp.feed(d.buf[:n])
	switch {
	case err != nil:
		d.broken(c, "malformed", err)
	case done && used < n:
		d.broken(c, "malformed", errors.New("bytes follow the answer"))
	case done:
		d.answered(c)
	}
}

// answered counts a complete answer.
func (d *httpDriver) answered(c *conn) {
	now := d.now()
	c.served = true
	if c.resp.closing || len(c.out) > 0 {
		d.hangUp(c)
	}
	if c.resp.status == 200 {
		if now <= d.end || d.plan != nil {
			d.rec.ok(c.target, now-c.meant)
		}
		d.release(c, now)
		return
	}
	code, text := errorCode(c.resp.status, c.resp.body)
	d.rec.refuse(c.target, code, text, now-c.sent)
	d.release(c, now)
}

// broken ends a request whose connection failed. One that met a connection that had been kept open
// and was closed before any answer came is sent once more, as HTTP clients do.
func (d *httpDriver) broken(c *conn, code string, err error) {
	d.hangUp(c)
	if !c.active {
		return
	}
	if c.served && !c.again && !c.resp.head && len(c.resp.line) == 0 && code != "malformed" {
		c.again = true
		d.send(c)
		return
	}
	d.fail(c, code, err.Error())
}

func (d *httpDriver) fail(c *conn, code, text string) {
	d.rec.fail(c.target, code, text)
	d.release(c, d.now())
}

// release makes the connection free, and in a closed loop uses it again.
func (d *httpDriver) release(c *conn, now int64) {
	c.active, c.out = false, nil
	d.busy--
	d.idle = append(d.idle, c)
	if d.plan == nil && now < d.end {
		if c.fd < 0 && !c.served {
			// The server can't be reached: the next try waits for the next scan.
			return
		}
		d.launch(now)
	}
}

// expire gives up what has waited too long, and tries again to connect.
func (d *httpDriver) expire(now int64) {
	for _, c := range d.conns {
		if c.active && now-c.sent > int64(d.p.o.Timeout) {
			d.hangUp(c)
			d.fail(c, "client_timeout", "no answer within "+d.p.o.Timeout.String())
		}
	}
	if d.plan == nil && now < d.end {
		for n := len(d.idle); n > 0 && len(d.idle) > 0; n-- {
			d.launch(now)
		}
	}
}

// abandon hangs up what has not been answered. In an open loop those requests had their time and
// count as errors.
func (d *httpDriver) abandon() {
	for _, c := range d.conns {
		if c.active {
			d.hangUp(c)
			if d.plan != nil {
				d.rec.fail(c.target, "unanswered", "no answer by the end of the run")
			}
			c.active, c.out = false, nil
			d.busy--
			d.idle = append(d.idle, c)
		}
	}
	for ; d.head < len(d.pending); d.head++ {
		d.rec.fail(0, "unsent", "no connection was free by the end of the run: raise --connections")
	}
}
