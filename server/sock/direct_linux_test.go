package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/aimass/aimass/internal/race"
)

// TestDirect: bytes pass in both directions as they do through a net.Conn, whatever their number and however slowly they are taken, and the ends
// of a connection are told apart.
func TestDirect(t *testing.T) {
	client, c, _ := pair(t, Config{Read: time.Minute, Write: time.Minute})
	if c.direct == nil && !race.Enabled {
		t.Fatal("a TCP connection is not read directly")
	}
	for _, n := range []int{1, 4095, maxDirect, maxDirect + 1, 8 << 20} {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(i * 7)
		}
		go client.Write(want)
		got := make([]byte, n)
		if _, err := io.ReadFull(c, got[:n/2]); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if _, err := io.ReadFull(c, got[n/2:]); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: %v, equal %v", n, err, bytes.Equal(got, want))
		}
		done := make(chan error, 1)
		go func() {
			for rest := want; len(rest) > 0; { // in pieces that fill the socket's buffer
				part := rest[:min(len(rest), maxDirect)]
				if k, err := c.Write(part); err != nil || k != len(part) {
					done <- errors.Join(err, io.ErrShortWrite)
					return
				}
				rest = rest[len(part):]
			}
			done <- nil
		}()
		time.Sleep(5 * time.Millisecond)
		clear(got)
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes back: %v, equal %v", n, err, bytes.Equal(got, want))
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
	client.(*net.TCPConn).CloseWrite()
	if n, err := c.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("after the last byte: %d, %v", n, err)
	}
	client.(*net.TCPConn).SetLinger(0)
	client.Close()
	if err := eventually(func() error { _, err := c.Write([]byte("x")); return err }); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a write to nobody: %v", err)
	}
	c.Close()
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read of what is closed: %v", err)
	}
}

// eventually calls f until it fails.
func eventually(f func() error) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// TestDirectAllocates nothing: a request costs two calls.
func TestDirectAllocates(t *testing.T) {
	if race.Enabled {
		t.Skip("NOT RUN: the race detector allocates")
	}
	client, c, _ := pair(t, Config{})
	p := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		client.Write(p)
		c.Read(p)
		c.Write(p)
		client.Read(p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
