package load

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpcDriver sends messages that are already encoded and does not decode the answers.
type grpcDriver struct {
	p     *Plan
	conns []*grpc.ClientConn
}

const inferMethod = "/inference.GRPCInferenceService/ModelInfer"

// rawCodec passes bytes through; the server sees ordinary protobuf.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = b
	return nil
}
func (rawCodec) Name() string { return "proto" }

func newGRPCDriver(p *Plan) (driver, error) {
	d := &grpcDriver{p: p}
	n := p.o.Connections
	if !p.o.open() {
		n = min(n, p.o.Concurrency)
	}
	for range n {
		c, err := grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
		if err != nil {
			d.close()
			return nil, err
		}
		d.conns = append(d.conns, c)
	}
	return d, nil
}

func (d *grpcDriver) close() {
	for _, c := range d.conns {
		c.Close()
	}
}

// grpcRun is one run; its requests are drawn under a lock, as they are in order.
type grpcRun struct {
	d      *grpcDriver
	ctx    context.Context
	rec    *recorder
	mu     sync.Mutex
	epoch  time.Time
	end    int64
	flying atomic.Int64
	late   int64
}

func (r *grpcRun) now() int64 { return int64(time.Since(r.epoch)) }

// one sends a request and waits for its answer.
func (r *grpcRun) one(k int, meant int64) {
	r.mu.Lock()
	target, body := r.d.p.chooser.next(r.d.p.targets)
	r.mu.Unlock()
	r.flying.Add(1)
	defer r.flying.Add(-1)
	ctx, cancel := context.WithTimeout(r.ctx, r.d.p.o.Timeout)
	defer cancel()
	if t := r.d.p.targets[target].Tenant; t != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-aimass-tenant", t)
	}
	var out []byte
	err := r.d.conns[k%len(r.d.conns)].Invoke(ctx, inferMethod, &body, &out)
	now := r.now()
	switch {
	case err == nil && (now <= r.end || r.d.p.o.open()):
		r.rec.ok(target, now-meant)
	case err != nil && r.ctx.Err() == nil:
		code := status.Code(err)
		name := fmt.Sprintf("grpc_%v", code)
		if code == codes.DeadlineExceeded {
			name = "client_timeout"
		}
		r.rec.fail(target, name, status.Convert(err).Message())
	case err != nil && r.d.p.o.open():
		r.rec.fail(target, "unanswered", "no answer by the end of the run")
	}
}

func (d *grpcDriver) run(ctx context.Context, rec *recorder, length time.Duration) (int64, error) {
	limited, cancel := context.WithTimeout(ctx, length+min(drainTimeGRPC, d.p.o.Timeout))
	defer cancel()
	r := &grpcRun{d: d, ctx: limited, rec: rec, epoch: time.Now(), end: int64(length)}
	rec.begin(0)
	done := make(chan struct{})
	var ticks sync.WaitGroup
	ticks.Go(func() {
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				rec.tick(r.now(), int(r.flying.Load()))
			case <-done:
				return
			}
		}
	})
	var err error
	if d.p.o.open() {
		err = r.open()
	} else {
		r.closed()
	}
	close(done)
	ticks.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return r.late, err
}

// drainTimeGRPC is how long answers are waited for after the end.
const drainTimeGRPC = 2 * time.Second

func (r *grpcRun) closed() {
	var wg sync.WaitGroup
	for k := range r.d.p.o.Concurrency {
		wg.Go(func() {
			for now := r.now(); now < r.end && r.ctx.Err() == nil; now = r.now() {
				r.one(k, now)
			}
		})
	}
	wg.Wait()
}

// maxFlying bounds the goroutines of an open loop; beyond it requests start late, which counts.
const maxFlying = 20000

func (r *grpcRun) open() error {
	plan, err := newArrivals(&r.d.p.o)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxFlying)
	for k := 0; ; k++ {
		at := plan.next()
		if at >= r.end || r.ctx.Err() != nil {
			break
		}
		if wait := at - r.now(); wait > 0 {
			time.Sleep(time.Duration(wait))
		}
		slots <- struct{}{}
		r.late = max(r.late, r.now()-at)
		wg.Go(func() {
			r.one(k, at)
			<-slots
		})
	}
	wg.Wait()
	return nil
}
