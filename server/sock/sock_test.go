package sock

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair returns both ends of a connection, of which the server's is a Conn.
func pair(t *testing.T, cfg Config) (client net.Conn, server *Conn, l *Listener) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = Listen(inner, cfg)
	if client, err = net.Dial("tcp", inner.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); c.Close(); l.Close() })
	return client, c.(*Conn), l
}

func TestTimeouts(t *testing.T) {
	const short, long = 40 * time.Millisecond, time.Hour
	f := func(what string, cfg Config, bound time.Duration, wait func(client net.Conn, c *Conn) error) {
		t.Helper()
		client, c, _ := pair(t, cfg)
		began := time.Now()
		err := wait(client, c)
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took < bound {
			t.Errorf("%s: %v after %v", what, err, took)
		}
	}
	read := func(_ net.Conn, c *Conn) error {
		_, err := c.Read(make([]byte, 100))
		return err
	}
	f("nothing comes", Config{Read: short, Idle: long, Write: long}, short, read)
	f("a request that trickles in", Config{Read: short, Idle: long, Write: long}, short, func(client net.Conn, c *Conn) error {
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(short / 8):
					client.Write([]byte("x"))
				}
			}
		}()
		for {
			if err := read(client, c); err != nil {
				return err
			}
		}
	})
	f("nothing comes after an answer", Config{Read: long, Idle: short, Write: long}, short, func(client net.Conn, c *Conn) error {
		client.Write([]byte("x"))
		if err := read(client, c); err != nil {
			return err
		}
		c.Write([]byte("y"))
		return read(client, c)
	})
	f("the request after an answer stalls", Config{Read: short, Idle: long, Write: long}, short, func(client net.Conn, c *Conn) error {
		for range 2 {
			client.Write([]byte("x"))
			if err := read(client, c); err != nil {
				return err
			}
			c.Write([]byte("y"))
		}
		client.Write([]byte("x"))
		if err := read(client, c); err != nil {
			return err
		}
		return read(client, c)
	})
	f("nobody reads the answer", Config{Read: long, Idle: long, Write: short}, short, func(_ net.Conn, c *Conn) error {
		_, err := c.Write(make([]byte, 64<<20))
		return err
	})
}

// TestNoTimeoutWhileServed: a handler may take longer than the connection's timeouts.
func TestNoTimeoutWhileServed(t *testing.T) {
	const short = 20 * time.Millisecond
	client, c, _ := pair(t, Config{Read: short, Idle: time.Hour, Write: short})
	for range 3 {
		client.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * short)
		if _, err := c.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSweepEndsWithItsConnections(t *testing.T) {
	_, c, l := pair(t, Config{Read: 8 * time.Millisecond})
	c.Close()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		sweeping, left := l.sweeping, len(l.conns)
		l.mu.Unlock()
		if !sweeping && left == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("sweeping %v over %d connections", sweeping, left)
		}
	}
}

func TestHeadLen(t *testing.T) {
	f := func(text string, want int) {
		t.Helper()
		if got := headLen([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	f("", 0)
	f("a\r\nb\r\n", 0)
	f("a\r\nb\r\n\r", 0)
	f("a\r\nb\r\n\r\n", 8)
	f("a\r\nb\r\n\r\nc\r\n\r\n", 8)
	f("a\nb\n\nc\r\n\r\n", 5)
	f("a\nb\n\r\nc", 6)
	f("a\r\nb\r\r\n\n", 8)
}

// book remembers in a map.
type book struct {
	mu    sync.Mutex
	pages map[string]string
	hits  int
}

func (b *book) Answer(_ *Conn, dst, request []byte) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text, ok := b.pages[string(request)]
	if ok {
		b.hits++
	}
	return append(dst, text...), ok
}

func (b *book) Keep(_ any, request, answer []byte) {
	b.mu.Lock()
	b.pages[string(request)] = string(answer)
	b.mu.Unlock()
}

// TestLearns serves as fasthttp does: it reads, changes its buffer, and writes in pieces.
func TestLearns(t *testing.T) {
	b := &book{pages: map[string]string{}}
	client, c, _ := pair(t, Config{Answerer: b})
	request := "post / http\r\nlength: 2\r\n\r\nhi"
	seen := make(chan int, 1)
	go func() {
		n := 0
		defer func() { seen <- n }()
		buf := make([]byte, 4096)
		for {
			k, err := c.Read(buf)
			if err != nil {
				return
			}
			n++
			copy(buf, bytes.ToUpper(buf[:k-2]))
			if bytes.HasSuffix(buf[:k], []byte("hi")) && c.Single([]byte("hi")) && c.Learns() {
				c.Learn(n)
			}
			c.Write([]byte("answer "))
			c.Write([]byte("to hi"))
		}
	}()
	ask := func(text string) {
		t.Helper()
		client.Write([]byte(text))
		got := make([]byte, len("answer to hi"))
		for n := 0; n < len(got); {
			k, err := client.Read(got[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		if string(got) != "answer to hi" {
			t.Fatalf("%q", got)
		}
	}
	for range 10 {
		ask(request)
	}
	ask(strings.ReplaceAll(request, "hi", "ho"))
	ask(request + request)
	client.Close()
	// Two until it is learned, that with another body, two joined.
	if n := <-seen; n != 4 || b.hits != 8 || len(b.pages) != 1 || b.pages[request] != "answer to hi" {
		t.Errorf("%d requests reached the server, %d were answered: %q", n, b.hits, b.pages)
	}
}
