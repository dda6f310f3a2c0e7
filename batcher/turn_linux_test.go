package batcher

import (
	"net"
	goruntime "runtime"
	"sync/atomic"
	"testing"
)

// TestTurnLetsTheNetworkGoFirst: who waited for bytes that had come before a turn has them after it, though yielding to the scheduler
// alone finds other goroutines ready.
func TestTurnLetsTheNetworkGoFirst(t *testing.T) {
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(1))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	from, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	var got atomic.Int64
	go func() {
		var b [1]byte
		for {
			if _, err := from.Read(b[:]); err != nil {
				return
			}
			got.Add(1)
		}
	}()
	turn := newTurn()
	if turn == nil {
		t.Fatal("no turn")
	}
	for i := range int64(200) {
		if _, err := to.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if turn.pass(); got.Load() != i+1 {
			t.Fatalf("%d bytes read after %d turns", got.Load(), i+1)
		}
	}
}
