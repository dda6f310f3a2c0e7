package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/aimass/aimass/api"
)

// Retry says how a call is tried again.
type Retry struct {
	// Attempts is how often a call is sent at most. Default 4; 1 means never again.
	Attempts int
	// Base is the pause before the second attempt; each further one is twice as long. Pauses are random between half of that
	// and all of it, so that clients that failed together do not return together. Default 50 ms.
	Base time.Duration
	// Max bounds a pause, and what Retry-After may ask for: a server that wants longer gets no further attempt. Default 5 s.
	Max time.Duration
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = 4
	}
	if r.Base <= 0 {
		r.Base = 50 * time.Millisecond
	}
	if r.Max <= 0 {
		r.Max = 5 * time.Second
	}
	return r
}

// mayRetry reports whether a call that failed so may be sent again. once: only where nothing was done with it.
func mayRetry(err error, once bool) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Retryable
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		var dns *net.DNSError
		return !errors.As(err, &dns) || !dns.IsNotFound
	}
	broke := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || op != nil && (op.Op == "read" || op.Op == "write")
	return broke && !once
}

// delay is the pause after an attempt; ok is false where the server asks for more than Max.
func (r Retry) delay(attempt int, after time.Duration) (d time.Duration, ok bool) {
	if after > r.Max {
		return 0, false
	}
	d = r.Max
	if shift := attempt - 1; shift < 30 {
		d = min(r.Max, r.Base<<shift)
	}
	d = d/2 + rand.N(d/2+1)
	return max(d, after), true
}

// pause waits before the next attempt. It is false where there should be none, at once if the context would end first.
func (r Retry) pause(ctx context.Context, attempt int, err error) bool {
	d, ok := r.delay(attempt, api.RetryAfter(err))
	if !ok {
		return false
	}
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
