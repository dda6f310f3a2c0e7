package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/runtime/feed"
)

// Options of a load.
type Options struct {
	// URL of the server: http://host:port, or host:port for gRPC.
	URL string
	// Models and Tenants are names, each perhaps with its share of the traffic: NAME=WEIGHT.
	Models  []string
	Tenants []string
	// Protocol is http-json, http-bin or grpc.
	Protocol string
	// Outputs are the outputs to ask for; none means all.
	Outputs []string
	// Shapes are input shapes as name=1x128, for extents that the model leaves open.
	Shapes []string
	// Batch is the first extent of inputs that leave it open. Default 1.
	Batch int
	// Distinct is how many different bodies each model and tenant gets. Default 64.
	Distinct int
	// Concurrency is the number of requests in flight of a closed loop.
	Concurrency int
	// Rate, if not zero, makes an open loop of so many requests a second.
	Rate float64
	// Arrival of an open loop: poisson, constant, or trace:FILE (seconds, one a line; or CSV as
	// bench/sim reads it).
	Arrival  string
	Duration time.Duration
	// Warmup runs before the clock starts.
	Warmup time.Duration
	// Timeout is how long an answer is waited for. Default 30 s.
	Timeout time.Duration
	// Deadline, if not zero, goes along with each request (parameter timeout), and answers
	// after it are not good. In an open loop, requests that find no free connection within it
	// are given up (error gave_up), and the last to come gets the next free one.
	Deadline time.Duration
	// Connections bounds the connections of an open loop. Default 1024 for HTTP, 4 for gRPC.
	Connections int
	Seed        uint64
}

func (o *Options) defaults() error {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&o.Batch, 1)
	set(&o.Distinct, 64)
	set(&o.Concurrency, 1)
	if o.Protocol == "" {
		o.Protocol = "http-bin"
	}
	if o.Arrival == "" {
		o.Arrival = "poisson"
	}
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Protocol == "grpc" {
		set(&o.Connections, 4)
	}
	set(&o.Connections, 1024)
	if len(o.Tenants) == 0 {
		o.Tenants = []string{""}
	}
	trace := strings.HasPrefix(o.Arrival, "trace:")
	switch {
	case len(o.Models) == 0:
		return errors.New("no model is given")
	case o.Protocol != "http-json" && o.Protocol != "http-bin" && o.Protocol != "grpc":
		return fmt.Errorf("protocol %q is none of http-json, http-bin, grpc", o.Protocol)
	case o.Arrival != "poisson" && o.Arrival != "constant" && !trace:
		return fmt.Errorf("arrival %q is none of poisson, constant, trace:FILE", o.Arrival)
	case o.Batch < 1 || o.Distinct < 1 || o.Concurrency < 1 || o.Connections < 1:
		return errors.New("batch, distinct, concurrency and connections must be at least 1")
	case !(o.Rate >= 0) || o.Rate > 1e7:
		return errors.New("rate must be from 0 to ten million a second")
	case o.Duration <= 0 || o.Warmup < 0 || o.Timeout <= 0 || o.Deadline < 0:
		return errors.New("duration and timeout must be positive, warm-up and deadline not negative")
	case o.Concurrency > 60000:
		return errors.New("concurrency is above 60000")
	}
	return nil
}

// open reports an open loop.
func (o *Options) open() bool { return o.Rate > 0 || strings.HasPrefix(o.Arrival, "trace:") }

// Plan is a load that is ready to run: the server has been asked for the models' inputs and the
// requests are built.
type Plan struct {
	o       Options
	address string // host:port
	host    string
	targets []target
	chooser chooser
	control control
}

// target is one model under one tenant.
type target struct {
	Model, Tenant string
	weight        float64
	bodies        [][]byte // requests as they go over the wire
}

// New asks the server and builds the requests.
func New(ctx context.Context, o Options) (*Plan, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	p := &Plan{o: o}
	if err := p.locate(); err != nil {
		return nil, err
	}
	shapes, err := feed.ParseShapes(o.Shapes)
	if err != nil {
		return nil, err
	}
	if o.Protocol == "grpc" {
		p.control, err = newGRPCControl(p.address)
	} else {
		p.control = &httpControl{base: "http://" + p.address}
	}
	if err != nil {
		return nil, err
	}
	models, err := weighted(o.Models)
	if err != nil {
		return nil, err
	}
	tenants, err := weighted(o.Tenants)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		inputs, err := p.control.inputs(ctx, m.name)
		if err != nil {
			return nil, fmt.Errorf("model %q: %w", m.name, err)
		}
		for _, t := range tenants {
			g := target{Model: m.name, Tenant: t.name, weight: m.weight * t.weight}
			rng := rand.New(rand.NewPCG(o.Seed, uint64(len(p.targets))))
			for range o.Distinct {
				in, err := values(rng, inputs, shapes, o.Batch)
				if err != nil {
					return nil, fmt.Errorf("model %q: %w", m.name, err)
				}
				b, err := p.encode(&g, in)
				if err != nil {
					return nil, fmt.Errorf("model %q: %w", m.name, err)
				}
				g.bodies = append(g.bodies, b)
			}
			p.targets = append(p.targets, g)
		}
	}
	p.chooser = newChooser(p.targets, o.Seed)
	return p, nil
}

// Close ends the connection that is used to ask the server.
func (p *Plan) Close() { p.control.close() }

func (p *Plan) locate() error {
	text := p.o.URL
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("%q is no address of a server", p.o.URL)
	}
	if u.Scheme != "http" && u.Scheme != "grpc" {
		return fmt.Errorf("%q: only http and grpc without TLS are supported", p.o.URL)
	}
	if u.Path != "" && u.Path != "/" {
		return fmt.Errorf("%q: give the server's address alone, without a path", p.o.URL)
	}
	port := u.Port()
	if port == "" {
		port = "8000"
		if p.o.Protocol == "grpc" {
			port = "8001"
		}
	}
	p.host = u.Hostname() + ":" + port
	if strings.Contains(u.Hostname(), ":") {
		p.host = "[" + u.Hostname() + "]:" + port
	}
	p.address = p.host
	return nil
}

type share struct {
	name   string
	weight float64
}

// weighted reads NAME or NAME=WEIGHT.
func weighted(list []string) ([]share, error) {
	var out []share
	for _, s := range list {
		w := share{s, 1}
		if k := strings.LastIndexByte(s, '='); k >= 0 {
			v, err := strconv.ParseFloat(s[k+1:], 64)
			if err != nil || !(v > 0) || v > 1e9 {
				return nil, fmt.Errorf("%q: expected NAME or NAME=WEIGHT with a positive weight", s)
			}
			w = share{s[:k], v}
		}
		out = append(out, w)
	}
	return out, nil
}

// chooser deals out requests: the targets by weight, the bodies of a target in turn. The order is
// drawn beforehand, so that nothing is drawn while the clock runs.
type chooser struct {
	order []uint16
	at    int
	turn  []int
}

func newChooser(targets []target, seed uint64) chooser {
	c := chooser{turn: make([]int, len(targets))}
	if len(targets) == 1 {
		c.order = []uint16{0}
		return c
	}
	total := 0.0
	for i := range targets {
		total += targets[i].weight
	}
	rng := rand.New(rand.NewPCG(seed, 1<<40))
	c.order = make([]uint16, 1<<16)
	for i := range c.order {
		x := rng.Float64() * total
		k := 0
		for k < len(targets)-1 && x >= targets[k].weight {
			x -= targets[k].weight
			k++
		}
		c.order[i] = uint16(k)
	}
	return c
}

// next gives a target and one of its bodies.
func (c *chooser) next(targets []target) (int, []byte) {
	k := int(c.order[c.at])
	if c.at++; c.at == len(c.order) {
		c.at = 0
	}
	t := &targets[k]
	b := t.bodies[c.turn[k]]
	if c.turn[k]++; c.turn[k] == len(t.bodies) {
		c.turn[k] = 0
	}
	return k, b
}
