package sock

import (
	"bytes"
	"net"
	"sync/atomic"
	"time"
)

// Conn is a connection to a client.
type Conn struct {
	net.Conn
	listener *Listener
	direct   *direct // nil: bytes go through Conn
	// doing is what the connection waits for and since which tick: doing<<2 | kind, or 0.
	doing atomic.Int64
	// first is the tick of the request's first byte. idle: the answer was written and nothing came since.
	first int64
	idle  bool

	// boundary: the next byte read is the first of a request, and all answers before it were written. It is known after
	// a request that was Single only.
	boundary bool
	// head follows the first request's head, and that of a request at a boundary.
	head head
	// view is what the last read brought, until the next one. request is a copy of it as it came, if the read was at a
	// boundary, or else empty: fasthttp rewrites the names of headers in its buffer. single: it was one whole request.
	view, request []byte
	single        bool
	// token and answer, while an answer is learned.
	token  any
	answer []byte
	// wake has a value once the client has gone away; nil while nobody asked. gone says so too.
	wake chan struct{}
	gone atomic.Bool
	// out is the memory of answers that are known.
	out []byte
}

// Kinds of waiting.
const (
	reading = 1 + iota
	idling
	writing
)

// maxLearned bounds the answers that are learned.
const maxLearned = 64 << 10

// keepOut bounds the memory that an idle connection holds for answers.
const keepOut = 4 << 10

// past is a deadline that interrupts at once.
var past = time.Unix(1, 0)

// check interrupts the connection if it has waited too long.
func (c *Conn) check(now int64) {
	d := c.doing.Load()
	since, cfg := d>>2, &c.listener.cfg
	over := func(limit time.Duration) bool { return limit > 0 && now-since > c.listener.ticks(limit) }
	switch d & 3 {
	case reading:
		if over(cfg.Read) {
			_ = c.Conn.SetReadDeadline(past)
		}
	case idling:
		if over(cfg.Idle) {
			_ = c.Conn.SetReadDeadline(past)
		}
	case writing:
		if over(cfg.Write) {
			_ = c.Conn.SetWriteDeadline(past)
		}
	}
}

// Read reads what came. Requests whose answers are known are answered and not seen by the caller.
func (c *Conn) Read(p []byte) (int, error) {
	c.learned()
	for {
		n, err := c.read(p)
		if !c.boundary {
			c.view, c.request = p[:n], c.request[:0]
			return n, c.refused(p[:n], err)
		}
		c.boundary = false
		a := c.listener.cfg.Answerer
		if n == 0 || a == nil {
			return n, err
		}
		out, ok := a.Answer(c, c.out[:0], p[:n])
		if cap(out) <= keepOut {
			c.out = out
		}
		if !ok {
			c.view, c.request, c.head = p[:n], append(c.request[:0], p[:n]...), head{on: true}
			return n, c.refused(p[:n], err)
		}
		if _, werr := c.Write(out); werr != nil {
			return 0, werr
		}
		if err != nil {
			return 0, err
		}
		c.boundary = true
	}
}

// refused is err, or why what was read can be no request's head.
func (c *Conn) refused(p []byte, err error) error {
	if err == nil && c.head.on && c.head.bare(p) {
		return ErrBareLine
	}
	return err
}

func (c *Conn) read(p []byte) (int, error) {
	l := c.listener
	if c.idle {
		c.doing.Store(l.now.Load()<<2 | idling)
	} else {
		c.doing.Store(c.first<<2 | reading)
	}
	n, err := c.receive(p)
	c.doing.Store(0)
	if c.idle && n > 0 {
		c.idle, c.first = false, l.now.Load()
	}
	return n, err
}

// Progress begins the time of a request anew: a body that keeps coming may take as long as
// it takes. It is called while the request is read.
func (c *Conn) Progress() { c.first = c.listener.now.Load() }

var continued = []byte("HTTP/1.1 100 ")

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	if c.token != nil {
		if len(c.answer)+len(p) > maxLearned {
			c.token, c.answer = nil, nil
		} else {
			c.answer = append(c.answer, p...)
		}
	}
	c.doing.Store(c.listener.now.Load()<<2 | writing)
	n, err := c.transmit(p)
	c.doing.Store(0)
	if !bytes.HasPrefix(p, continued) {
		c.idle = true
	}
	if c.single {
		c.single, c.boundary = false, true
	}
	return n, err
}

// Single reports whether the request that is being answered, of the given body and with a Content-Length, was read whole
// and alone. Then, once its answer is written, the next read is at the beginning of a request.
func (c *Conn) Single(body []byte) bool {
	r := c.view
	c.single = len(r) > len(body) && headLen(r) == len(r)-len(body) && bytes.Equal(r[len(r)-len(body):], body)
	return c.single
}

// headLen is the length of a request's head with the empty line at its end, 0 if there is none. Lines may end in a bare
// line feed, as HTTP servers accept.
func headLen(r []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(r[at:], '\n')
		if n < 0 {
			return 0
		}
		at += n + 1
		switch rest := r[at:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return at + 2
		}
	}
}

// Learns reports whether the answer to a request that is Single can be learned.
func (c *Conn) Learns() bool { return c.single && len(c.request) > 0 }

// Learn has the Answerer keep the answer that is written next, if Learns says so.
func (c *Conn) Learn(token any) { c.token, c.answer = token, c.answer[:0] }

// learned ends the learning of an answer.
func (c *Conn) learned() {
	if c.token == nil {
		return
	}
	c.listener.cfg.Answerer.Keep(c.token, c.request, c.answer)
	c.token, c.answer = nil, nil
}

// Gone returns a channel that has a value once the client has closed its end, or nil where that can't be known. A client
// that closes only its sending half counts as gone.
func (c *Conn) Gone() <-chan struct{} {
	if c.wake == nil {
		c.wake = make(chan struct{}, 1)
		if !c.listener.watch(c) {
			c.wake = nil
			return nil
		}
	}
	if c.gone.Load() {
		c.leave()
	}
	return c.wake
}

// leave notes that the client has gone away.
func (c *Conn) leave() {
	c.gone.Store(true)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Close closes the connection.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.listener.forget(c) // behind Close, so that a watch that begins meanwhile is either refused or ended here
	return err
}
