package sock

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config of the connections.
type Config struct {
	// Read bounds the time from a request's first byte to its last, Idle the wait for a first byte after an answer, Write
	// the time that one write may take. 0 means no bound. They end up to an eighth late.
	Read, Idle, Write time.Duration
	// Watch has Gone tell of clients that go away.
	Watch bool
	// Answerer may be nil.
	Answerer Answerer
}

// Answerer knows the answers to requests by their bytes, or makes them.
type Answerer interface {
	// Answer appends the whole answer to a request, head and body, to dst; ok is false where the request must be read and
	// answered the usual way. request is c's and holds until Answer returns.
	Answer(c *Conn, dst, request []byte) (answer []byte, ok bool)
	// Keep may remember the answer to a request. token is what Conn.Learn was given.
	Keep(token any, request, answer []byte)
}

// Listener makes connections of this package.
type Listener struct {
	net.Listener
	cfg  Config
	tick time.Duration
	now  atomic.Int64 // in ticks

	mu       sync.Mutex
	conns    map[*Conn]struct{}
	sweeping bool

	watcher *watcher // nil before the first use, or where there is none
	closed  bool
}

// Listen wraps a listener.
func Listen(l net.Listener, cfg Config) *Listener {
	s := &Listener{Listener: l, cfg: cfg, conns: map[*Conn]struct{}{}, tick: time.Second}
	for _, d := range []time.Duration{cfg.Read, cfg.Idle, cfg.Write} {
		if d > 0 {
			s.tick = min(s.tick, max(d/8, time.Millisecond))
		}
	}
	s.now.Store(1)
	return s
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: inner, listener: l, direct: newDirect(inner), head: head{on: true}}
	c.first = l.now.Load()
	l.mu.Lock()
	l.conns[c] = struct{}{}
	if !l.sweeping {
		l.sweeping = true
		go l.sweep()
	}
	l.mu.Unlock()
	return c, nil
}

// forget drops what is known of a connection that was closed.
func (l *Listener) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if l.watcher != nil {
		l.watcher.forget(c)
	}
}

// Close closes the listener. Connections live on, but are not watched any more.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed = true; l.watcher != nil {
		l.watcher.close()
	}
	l.mu.Unlock()
	return l.Listener.Close()
}

// sweep interrupts what lasts too long, while there are connections.
func (l *Listener) sweep() {
	t := time.NewTicker(l.tick)
	defer t.Stop()
	for range t.C {
		now := l.now.Add(1)
		l.mu.Lock()
		if len(l.conns) == 0 {
			l.sweeping = false
			l.mu.Unlock()
			return
		}
		for c := range l.conns {
			c.check(now)
		}
		l.mu.Unlock()
	}
}

// ticks is d in whole ticks, rounded up.
func (l *Listener) ticks(d time.Duration) int64 { return int64((d + l.tick - 1) / l.tick) }

// watch begins to watch a connection and reports whether it can.
func (l *Listener) watch(c *Conn) bool {
	if !l.cfg.Watch {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if l.watcher == nil {
		l.watcher = newWatcher()
	}
	return l.watcher != nil && l.watcher.add(c)
}
