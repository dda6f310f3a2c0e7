package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/runtime/tensor"
)

// SecondConfig is a second tier of the cache, in Redis or Valkey, which replicas share.
type SecondConfig struct {
	// URL of the server: redis://[user:password@]host:port[/db]. Empty: there is none.
	URL string
	// TTL is how long it keeps an answer. Default one hour.
	TTL time.Duration
	// Timeout bounds the wait for it. Default 20 ms.
	Timeout time.Duration
}

// WithDefaults fills the fields that are zero.
func (c SecondConfig) WithDefaults() SecondConfig {
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Millisecond
	}
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c SecondConfig) Validate() error {
	if c.URL == "" {
		return nil
	}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Host == "" {
		return errors.New("cache: the URL of the second tier can't be read, expected redis://[user:password@]host:port[/db]")
	}
	if c.TTL < time.Second || c.Timeout < time.Millisecond {
		return errors.New("cache: the second tier's TTL must be at least 1 s and its timeout at least 1 ms")
	}
	return nil
}

// SecondStats counts what the second tier did.
type SecondStats struct{ Hits, Misses, Errors, Writes, Dropped atomic.Int64 }

// second is the second tier. It may fail: then it is left alone for a while and requests run
// as if it knew nothing.
type second struct {
	cfg    SecondConfig
	pool   *redis.Pool
	writes chan write
	rest   atomic.Int64 // until when it is left alone, in nanoseconds since the epoch
	stats  SecondStats
	done   sync.WaitGroup
	stop   context.CancelFunc
}

// write is an answer on its way.
type write struct {
	key   string
	value []byte
}

const (
	secondPrefix = "aimass:1:" // of every key; the number is the format's
	secondRest   = time.Second // after a failure
	secondQueue  = 1024        // answers that wait to be written; more are dropped
	secondValue  = 8 << 20     // largest answer that is written
	secondIdle   = 16          // connections that are kept
	purgeTime    = time.Minute // for a purge
	purgeStep    = 10000       // keys looked at in one step
)

func newSecond(cfg SecondConfig) (*second, error) {
	if cfg.URL == "" {
		return nil, nil
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := cfg.Timeout
	pool := &redis.Pool{MaxIdle: secondIdle, IdleTimeout: time.Minute, DialContext: func(ctx context.Context) (redis.Conn, error) {
		return redis.DialURLContext(ctx, cfg.URL, redis.DialConnectTimeout(t), redis.DialReadTimeout(t), redis.DialWriteTimeout(t))
	}}
	ctx, stop := context.WithCancel(context.Background())
	s := &second{cfg: cfg, pool: pool, writes: make(chan write, secondQueue), stop: stop}
	s.done.Go(func() { s.writer(ctx) })
	return s, nil
}

func (s *second) close() {
	s.stop()
	s.done.Wait()
	_ = s.pool.Close()
}

// do runs one command on a connection of the pool.
func (s *second) do(ctx context.Context, command string, args ...any) (any, error) {
	c, err := s.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return redis.DoContext(c, ctx, command, args...)
}

// awake reports whether the tier is to be asked.
func (s *second) awake() bool { return time.Now().UnixNano() >= s.rest.Load() }

// failed notes an error of the tier, unless the caller's own time was over.
func (s *second) failed(ctx context.Context) {
	if ctx.Err() == nil {
		s.stats.Errors.Add(1)
		s.rest.Store(time.Now().Add(secondRest).UnixNano())
	}
}

// secondKey spells a request for all replicas: what the canonical form says, with the model's
// identity in place of this process's generation. Crafted collisions are out of reach.
func secondKey(s *Scope, r *batcher.Request) string {
	h := sha256.New()
	outside := *s
	outside.Generation = uint64(len(s.Identity))
	h.Write(appendHeader(nil, &outside, r))
	h.Write([]byte(s.Identity))
	for i := range r.In {
		h.Write(r.In[i].Bytes())
	}
	return secondPrefix + hex.EncodeToString(h.Sum(nil))
}

// get asks for an answer.
func (s *second) get(ctx context.Context, key string) ([]tensor.Value, bool) {
	if !s.awake() {
		return nil, false
	}
	short, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	b, err := redis.Bytes(s.do(short, "GET", key))
	if errors.Is(err, redis.ErrNil) {
		s.stats.Misses.Add(1)
		return nil, false
	}
	if err != nil {
		s.failed(ctx)
		return nil, false
	}
	out, err := decodeAnswer(b)
	if err != nil {
		s.stats.Errors.Add(1)
		return nil, false
	}
	s.stats.Hits.Add(1)
	return out, true
}

// put has an answer written, soon and perhaps.
func (s *second) put(key string, out []tensor.Value) {
	if !s.awake() {
		return
	}
	value, ok := encodeAnswer(out)
	if !ok {
		return
	}
	select {
	case s.writes <- write{key, value}:
	default:
		s.stats.Dropped.Add(1)
	}
}

func (s *second) writer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-s.writes:
			short, cancel := context.WithTimeout(ctx, 10*s.cfg.Timeout)
			if _, err := s.do(short, "SET", w.key, w.value, "PX", s.cfg.TTL.Milliseconds()); err != nil {
				s.failed(ctx)
			} else {
				s.stats.Writes.Add(1)
			}
			cancel()
		}
	}
}

// purge forgets what is written, in the background. Answers that other replicas write meanwhile
// may stay.
func (s *second) purge() {
	s.done.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), purgeTime)
		defer cancel()
		for len(s.writes) > 0 {
			<-s.writes
		}
		for cursor := "0"; ; {
			next, err := s.forget(ctx, cursor)
			if err != nil {
				s.failed(ctx)
				return
			}
			if cursor = next; cursor == "0" {
				return
			}
		}
	})
}

// forget removes the keys of one step of a scan and gives the next step's cursor.
func (s *second) forget(ctx context.Context, cursor string) (next string, err error) {
	r, err := redis.Values(s.do(ctx, "SCAN", cursor, "MATCH", secondPrefix+"*", "COUNT", purgeStep))
	if err != nil {
		return "", err
	}
	var keys []any
	if _, err := redis.Scan(r, &next, &keys); err != nil || len(keys) == 0 {
		return next, err
	}
	_, err = s.do(ctx, "UNLINK", keys...)
	return next, err
}

// encodeAnswer spells tensors: how many, then each one's type, shape and elements, behind a
// checksum. It refuses what is too large or no tensor.
func encodeAnswer(out []tensor.Value) ([]byte, bool) {
	b := make([]byte, sha256.Size, 256)
	b = binary.AppendUvarint(b, uint64(len(out)))
	for _, v := range out {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			return nil, false
		}
		b = append(b, byte(t.DType))
		b = binary.AppendUvarint(b, uint64(len(t.Shape)))
		for _, d := range t.Shape {
			b = binary.AppendUvarint(b, uint64(d))
		}
		b = append(b, t.Bytes()...)
		for _, s := range t.Strings() {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
		if len(b) > secondValue {
			return nil, false
		}
	}
	return seal(b), true
}

// seal puts the checksum of what follows in front, where there is room for it.
func seal(b []byte) []byte {
	sum := sha256.Sum256(b[sha256.Size:])
	copy(b, sum[:])
	return b
}

var errGarbled = errors.New("cache: an answer of the second tier is garbled")

// decodeAnswer is the inverse of encodeAnswer; whatever else b holds is an error.
func decodeAnswer(b []byte) ([]tensor.Value, error) {
	if len(b) < sha256.Size || sha256.Sum256(b[sha256.Size:]) != [sha256.Size]byte(b[:sha256.Size]) {
		return nil, errGarbled
	}
	b = b[sha256.Size:]
	number := func(most int) (int, bool) {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(most) {
			return 0, false
		}
		b = b[k:]
		return int(n), true
	}
	count, ok := number(len(b))
	if !ok {
		return nil, errGarbled
	}
	out := make([]tensor.Value, 0, min(count, 64))
	for range count {
		if len(b) == 0 {
			return nil, errGarbled
		}
		d := tensor.DType(b[0])
		b = b[1:]
		rank, ok := number(64)
		shape := make(tensor.Shape, rank)
		for i := 0; ok && i < rank; i++ {
			shape[i], ok = number(tensor.MaxElements)
		}
		if !ok || d.V2() == "" || shape.Check() != nil {
			return nil, errGarbled
		}
		n := shape.Elements()
		if d == tensor.String {
			if n > len(b) {
				return nil, errGarbled
			}
			strs := make([]string, n)
			for i := range strs {
				size, ok := number(len(b))
				if !ok || size > len(b) {
					return nil, errGarbled
				}
				strs[i], b = string(b[:size]), b[size:]
			}
			out = append(out, tensor.FromStrings(strs, shape...))
			continue
		}
		size := d.Bytes(n)
		if size > len(b) {
			return nil, errGarbled
		}
		t := tensor.New(d, shape)
		copy(t.Bytes(), b[:size])
		out, b = append(out, t), b[size:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow it", errGarbled, len(b))
	}
	return out, nil
}
