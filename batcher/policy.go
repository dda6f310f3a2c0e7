package batcher

// Policy decides what goes into the next batch. It sees the queue and the clock only
// through its arguments, so that the simulator can drive the same object.
type Policy struct {
	cfg     Config
	latency *Latency
}

// NewPolicy makes the policy of one model version.
func NewPolicy(cfg Config, latency *Latency) *Policy { return &Policy{cfg: cfg, latency: latency} }

// Take reports whether a request with these rows may still join a batch that has some.
func (p *Policy) Take(have, rows int) bool { return have == 0 || have+rows <= p.cfg.MaxRows }

// Due reports whether a batch should start now: rows wait, the oldest since waited
// nanoseconds, and an instance is free.
func (p *Policy) Due(rows int, waited int64) bool {
	return p.cfg.Delay == 0 || rows >= p.cfg.Preferred || waited >= int64(p.cfg.Delay)
}

// Inline reports whether a caller that may be cancelled should run rows itself.
func (p *Policy) Inline(rows int) bool {
	t, known := p.latency.Estimate(rows)
	return known && t <= int64(p.cfg.Inline)
}
