package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	goruntime "runtime"
	"time"

	"golang.org/x/sys/unix"
)

// httpDriver runs connections over one epoll set in one thread, so that a request costs the
// generator little more than its two system calls.
type httpDriver struct {
	p        *Plan
	address  unix.Sockaddr
	family   int
	epoll    int
	timer    int // a timerfd: epoll's own timeout counts in milliseconds
	armed    int64
	conns    []*conn
	idle     []*conn
	busy     int
	rec      *recorder
	plan     *arrivals // of an open loop
	pending  []start   // due, without a connection, from head on
	head     int
	nextAt   int64
	end      int64
	late     int64
	buf      []byte
	events   []unix.EpollEvent
	lastScan int64
	epoch    time.Time
}

// start is a request that should have begun.
type start struct{ at int64 }

type conn struct {
	fd      int
	index   int    // in conns
	out     []byte // what is still to be written
	writing bool   // waits until it can write
	active  bool
	target  int
	meant   int64 // when the request should have started
	sent    int64
	resp    response
	served  bool // has answered on this socket
	request []byte
	again   bool // was sent a second time, on a new socket
}

func newHTTPDriver(p *Plan) (driver, error) {
	a, err := net.ResolveTCPAddr("tcp", p.address)
	if err != nil {
		return nil, err
	}
	d := &httpDriver{p: p, epoch: time.Now(), buf: make([]byte, 256<<10), events: make([]unix.EpollEvent, 256), timer: -1}
	if v4 := a.IP.To4(); v4 != nil || a.IP == nil {
		s := &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte{127, 0, 0, 1}}
		copy(s.Addr[:], v4)
		d.address, d.family = s, unix.AF_INET
	} else {
		s := &unix.SockaddrInet6{Port: a.Port}
		copy(s.Addr[:], a.IP.To16())
		d.address, d.family = s, unix.AF_INET6
	}
	if d.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if d.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		d.close()
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	if err := unix.EpollCtl(d.epoll, unix.EPOLL_CTL_ADD, d.timer, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}); err != nil {
		d.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return d, nil
}

func (d *httpDriver) close() {
	for _, c := range d.conns {
		d.hangUp(c)
	}
	if d.timer >= 0 {
		unix.Close(d.timer)
	}
	unix.Close(d.epoll)
}

func (d *httpDriver) now() int64 { return int64(time.Since(d.epoch)) }

func (d *httpDriver) run(ctx context.Context, rec *recorder, length time.Duration) (int64, error) {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	d.rec, d.late, d.pending, d.head = rec, 0, d.pending[:0], 0
	want := d.p.o.Concurrency
	if d.p.o.open() {
		plan, err := newArrivals(&d.p.o)
		if err != nil {
			return 0, err
		}
		d.plan = plan
		want = min(d.p.o.Connections, 16)
	}
	for len(d.conns) < want {
		if err := d.grow(); err != nil {
			return 0, err
		}
	}
	begin := d.now()
	rec.begin(begin)
	d.end = begin + int64(length)
	if d.plan != nil {
		d.nextAt = begin + d.plan.next()
	} else {
		d.idle = append(d.idle[:0], d.conns...)
		for range want {
			d.launch(d.now())
		}
	}
	err := d.loop(ctx, begin)
	return d.late, err
}

// drainTime is how long answers are waited for after the end.
const drainTime = 2 * time.Second

func (d *httpDriver) loop(ctx context.Context, begin int64) error {
	for {
		now := d.now()
		d.rec.tick(now, d.busy+len(d.pending)-d.head)
		if d.plan != nil {
			d.due(now, begin)
		}
		if now >= d.end && (d.busy == 0 || now >= d.end+int64(min(drainTime, d.p.o.Timeout))) {
			d.abandon()
			return nil
		}
		if ctx.Err() != nil {
			d.abandon()
			return ctx.Err()
		}
		if now-d.lastScan > int64(20*time.Millisecond) {
			d.lastScan = now
			d.expire(now)
		}
		wait := 20
		if d.plan != nil && d.nextAt < now+int64(20*time.Millisecond) && d.nextAt < d.end {
			d.arm(d.nextAt, now)
		}
		n, err := unix.EpollWait(d.epoll, d.events, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for i := range max(n, 0) {
			e := &d.events[i]
			if e.Fd < 0 {
				var b [8]byte
				_, _ = unix.Read(d.timer, b[:]) // only to take the event off
				d.armed = 0
				continue
			}
			d.ready(d.conns[e.Fd], e.Events)
		}
	}
}

// arm wakes the loop at a moment.
func (d *httpDriver) arm(at, now int64) {
	if d.armed == at {
		return
	}
	d.armed = at
	left := max(at-now, 1)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(left)}
	if err := unix.TimerfdSettime(d.timer, 0, &spec, nil); err != nil {
		panic(fmt.Sprintf("BUG: timerfd_settime: %v", err))
	}
}

// due starts what the arrival process has due.
func (d *httpDriver) due(now, begin int64) {
	for d.nextAt <= now && d.nextAt < d.end {
		d.pending = append(d.pending, start{d.nextAt})
		next := d.plan.next()
		if next == math.MaxInt64 {
			d.nextAt = math.MaxInt64
			d.end = min(d.end, now)
			break
		}
		d.nextAt = begin + next
	}
	limit := int64(d.p.o.Deadline)
	for ; limit > 0 && d.head < len(d.pending) && now-d.pending[d.head].at > limit; d.head++ {
		d.rec.fail(0, "gave_up", "no connection was free within the deadline")
	}
	for d.head < len(d.pending) && now < d.end+int64(drainTime) {
		if len(d.idle) == 0 && (len(d.conns) >= d.p.o.Connections || d.grow() != nil) {
			break
		}
		at := d.pending[d.head].at
		if limit > 0 {
			// The last to come gets the connection: the first has hardly any time left.
			last := len(d.pending) - 1
			at, d.pending = d.pending[last].at, d.pending[:last]
		} else {
			d.head++
		}
		d.late = max(d.late, now-at)
		d.launch(at)
	}
	if d.head == len(d.pending) {
		d.pending, d.head = d.pending[:0], 0
	}
}

// launch sends the next request over an idle connection.
func (d *httpDriver) launch(meant int64) {
	c := d.idle[len(d.idle)-1]
	d.idle = d.idle[:len(d.idle)-1]
	c.target, c.request = d.p.chooser.next(d.p.targets)
	c.meant, c.active, c.again = meant, true, false
	d.busy++
	d.send(c)
}

func (d *httpDriver) send(c *conn) {
	c.sent = d.now()
	c.resp.reset()
	c.out = c.request
	if c.fd < 0 {
		if err := d.connect(c); err != nil {
			c.served = false
			d.fail(c, "connect", err.Error())
			return
		}
	}
	d.write(c)
}

// write sends what the socket takes; the rest waits for its event.
func (d *httpDriver) write(c *conn) {
	for len(c.out) > 0 {
		n, err := unix.Write(c.fd, c.out)
		if n > 0 {
			c.out = c.out[n:]
			continue
		}
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOTCONN):
			if !c.writing {
				c.writing = true
				d.watch(c, unix.EPOLLIN|unix.EPOLLOUT, unix.EPOLL_CTL_MOD)
			}
			return
		case errors.Is(err, unix.EINTR):
		default:
			d.broken(c, "write", err)
			return
		}
	}
	if c.writing {
		c.writing = false
		d.watch(c, unix.EPOLLIN, unix.EPOLL_CTL_MOD)
	}
}

func (d *httpDriver) watch(c *conn, events uint32, op int) {
	if err := unix.EpollCtl(d.epoll, op, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.index)}); err != nil {
		panic(fmt.Sprintf("BUG: epoll_ctl: %v", err))
	}
}
