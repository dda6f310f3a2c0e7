package cache

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/runtime/tensor"
)

// redisServer starts a Redis or Valkey of the system's, and gives its address and what stops it.
func redisServer(t *testing.T) (addr string, kill func()) {
	t.Helper()
	program := os.Getenv("AIMASS_REDIS_SERVER")
	for _, name := range []string{"redis-server", "valkey-server"} {
		if p, err := exec.LookPath(name); err == nil && program == "" {
			program = p
		}
	}
	if program == "" {
		t.Skip("NOT RUN: neither redis-server nor valkey-server is installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	cmd := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := false
	kill = func() {
		if !gone {
			gone = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	for range 200 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr, kill
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", filepath.Base(program))
	return "", nil
}

// replica is a cache of its own before a model of its own.
type replica struct {
	c *Cache
	m *sum
	b *batcher.Batcher
}

func newReplica(t *testing.T, addr string) *replica {
	t.Helper()
	c, err := New(Config{Second: SecondConfig{URL: "redis://" + addr, Timeout: 200 * time.Millisecond}}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{c: c, m: &sum{}}
	r.b = batcher.New("m", r.m, batcher.Config{}.WithDefaults(2))
	t.Cleanup(func() { r.b.Close(); c.Close() })
	return r
}

func (r *replica) ask(t *testing.T, s Scope, v uint8) Outcome {
	t.Helper()
	s.Generation = r.c.Generation() // as if the model had just been loaded
	o, n := ask(t, r.c, r.b, s, tensor.FromSlice([]uint8{v, 1}, 2))
	if n != int64(v)+1 {
		t.Errorf("asked %d, got %d", v, n)
	}
	return o
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("in vain: " + what)
}

func TestReplicasShareAnswers(t *testing.T) {
	addr, kill := redisServer(t)
	a, b := newReplica(t, addr), newReplica(t, addr)
	s := Scope{Identity: "m 1 digest", Tenant: "t"}
	for i := range uint8(10) {
		if o := a.ask(t, s, i); o != Miss {
			t.Errorf("the first time: %d", o)
		}
	}
	waitFor(t, "ten answers are written", func() bool { return a.c.SecondStats().Writes.Load() == 10 })
	for i := range uint8(10) {
		if o := b.ask(t, s, i); o != Hit {
			t.Errorf("the other replica computed %d again", i)
		}
	}
	if n := b.m.runs.Load(); n != 0 {
		t.Errorf("%d runs", n)
	}
	for what, other := range map[string]Scope{"model": {Identity: "m 1 other", Tenant: "t"}, "tenant": {Identity: "m 1 digest", Tenant: "u"}, "parameters": {Identity: "m 1 digest", Tenant: "t", Extra: []byte("x")}, "none": {}} {
		if o := b.ask(t, other, 3); o != Miss {
			t.Errorf("another %s was answered by the entry", what)
		}
	}
	waitFor(t, "those are written", func() bool { return b.c.SecondStats().Writes.Load() == 3 })
	a.c.Purge()
	waitFor(t, "the purge is done", func() bool {
		keys, err := redis.Strings(a.c.second.do(context.Background(), "KEYS", secondPrefix+"*"))
		return err == nil && len(keys) == 0
	})
	if o := b.ask(t, s, 4); o != Miss {
		t.Error("an answer outlived the purge")
	}
	// What another program wrote under the key is no answer.
	waitFor(t, "it is written", func() bool { return b.c.SecondStats().Writes.Load() >= 4 })
	key := secondKey(&s, &batcher.Request{In: []tensor.Tensor{*tensor.FromSlice([]uint8{4, 1}, 2)}})
	if _, err := a.c.second.do(context.Background(), "SET", key, "garbage"); err != nil {
		t.Fatal(err)
	}
	if o := a.ask(t, s, 4); o != Miss {
		t.Error("garbage answered")
	}
	// The server dies: requests go on.
	kill()
	for i := range uint8(20) {
		a.ask(t, s, 100+i)
	}
	if n := a.c.SecondStats().Errors.Load(); n == 0 {
		t.Error("no failure was counted")
	}
}

// TestSecondTierThatHangs: one that accepts and says nothing costs its timeout, and then is
// left alone.
func TestSecondTierThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newReplica(t, l.Addr().String())
	for i := range uint8(20) {
		if o := r.ask(t, Scope{Identity: "m"}, i); o != Miss {
			t.Errorf("request %d: %d", i, o)
		}
	}
	if n := r.c.SecondStats().Errors.Load(); n < 1 || n > 5 {
		t.Errorf("it was asked in vain %d times in a moment", n)
	}
}

func TestSecondConfig(t *testing.T) {
	for _, url := range []string{"localhost:6379", "http://x", "redis://h:port"} {
		if err := (Config{Second: SecondConfig{URL: url}}).WithDefaults().Validate(); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}

func answers() [][]tensor.Value {
	return [][]tensor.Value{
		{}, {tensor.FromSlice([]float32{1, 2, 3}, 3, 1)}, {tensor.FromSlice([]int64{5}), tensor.FromStrings([]string{"", "é\x00"}, 2), tensor.New(tensor.Bool, tensor.Shape{0, 4})},
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	for i, out := range answers() {
		b, ok := encodeAnswer(out)
		if !ok {
			t.Fatal(i)
		}
		back, err := decodeAnswer(b)
		if err != nil || fmt.Sprint(len(back)) != fmt.Sprint(len(out)) {
			t.Fatalf("%d: %v", i, err)
		}
		for k := range out {
			x, y := out[k].(*tensor.Tensor), back[k].(*tensor.Tensor)
			if x.DType != y.DType || !x.Shape.Equal(y.Shape) || !bytes.Equal(x.Bytes(), y.Bytes()) || fmt.Sprint(x.Strings()) != fmt.Sprint(y.Strings()) {
				t.Errorf("%d: %v became %v", i, x, y)
			}
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	for _, out := range answers() {
		b, _ := encodeAnswer(out)
		f.Add(b[32:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := decodeAnswer(seal(append(make([]byte, 32), b...)))
		if err != nil {
			return
		}
		again, ok := encodeAnswer(out)
		if !ok {
			t.Fatal("what was read can't be written")
		}
		if _, err := decodeAnswer(again); err != nil {
			t.Fatal(err)
		}
	})
}
