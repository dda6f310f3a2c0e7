package pipeline

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// sleeper is a native model that takes its time and answers with its input.
type sleeper struct {
	native.Alone
	takes time.Duration
}

func (sleeper) Inputs() []native.Port {
	return []native.Port{native.Tensor("x", tensor.Float32, -1, 2)}
}
func (sleeper) Outputs() []native.Port {
	return []native.Port{native.Tensor("y", tensor.Float32, -1, 2)}
}
func (s sleeper) Run(_ context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	time.Sleep(s.takes)
	x := in[0].(*tensor.Tensor)
	y, err := alloc(tensor.Float32, x.Shape)
	if err == nil {
		copy(y.Bytes(), x.Bytes())
	}
	return []tensor.Value{y}, err
}

// late reports an error of a request that had no time left.
func late(err error) bool {
	code := api.CodeOf(err)
	return code == api.CodeRequestTimeout || code == api.CodeDeadlineUnmeetable
}

// TestModelsTimeoutCountsFromArrival: a model's own timeout bounds all of a request's time in the server: before the model's
// queue, in an earlier step of an ensemble, while an equal request is answered, and while the sequence's turn is waited for.
func TestModelsTimeoutCountsFromArrival(t *testing.T) {
	const limit = `dynamic_batching { default_queue_policy { default_timeout_microseconds: 200000 } }
`
	s := newShopOf(t, func(*shop) []native.Entry {
		return []native.Entry{{Name: "sleeper", New: func(native.Source) (native.Model, error) { return sleeper{takes: 600 * time.Millisecond}, nil }}}
	})
	s.base(t)
	ctx := context.Background()
	s.put(t, "slow/1/empty", nil)
	s.put(t, "plus/config.pbtxt", []byte("max_batch_size: 8 "+limit))
	for model, text := range map[string]string{"slow": nativeText("sleeper", ""), "shared": nativeText("sleeper", limit+"response_cache { enable: true }")} {
		s.put(t, model+"/1/empty", nil)
		s.put(t, model+"/config.pbtxt", []byte(text))
		if err := s.repo.Load(ctx, model, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ensemble(t, "both", ends+scheduling(stepText("slow", "in", "mid"), stepText("plus", "mid", "out"))); err != nil {
		t.Fatal(err)
	}
	ask := func(model string, arrived, deadline time.Time) error {
		v, err := s.pipe.Resolve([]byte(model), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Done()
		c := &Call{}
		c.In, c.Arrived, c.Deadline = []tensor.Tensor{*tensor.FromSlice([]float32{1, 2}, 1, 2)}, arrived, deadline
		err = v.Infer(ctx, c)
		c.Release()
		if !c.Deadline.Equal(deadline) {
			t.Errorf("%s: the call's deadline has become %v", model, c.Deadline)
		}
		return err
	}
	now := time.Now
	if err := ask("plus", time.Time{}, time.Time{}); err != nil {
		t.Errorf("a request that came just now: %v", err)
	}
	if err := ask("plus", now().Add(-time.Second), time.Time{}); !late(err) {
		t.Errorf("a request that came a second ago: %v", err)
	}
	if err := ask("plus", now().Add(-time.Second), now().Add(time.Minute)); err != nil {
		t.Errorf("a request that brings a deadline of its own: %v", err)
	}
	if err := ask("both", time.Time{}, time.Time{}); !late(err) || !strings.Contains(err.Error(), "step 1") {
		t.Errorf("the first step took longer than the second's timeout: %v", err)
	}
	lead := make(chan error, 1)
	go func() { lead <- ask("shared", time.Time{}, now().Add(time.Minute)) }()
	shared := s.pipe.Versions([]byte("shared"))[0]
	for shared.Stats.Pending.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // until it has been found that nobody else asks the same
	began := now()
	if err := ask("shared", time.Time{}, time.Time{}); api.CodeOf(err) != api.CodeRequestTimeout || time.Since(began) > 500*time.Millisecond {
		t.Errorf("the answer of an equal request was waited for: %v after %v", err, time.Since(began))
	}
	if err := <-lead; err != nil {
		t.Error(err)
	}
}

// TestTurnIsWaitedForNoLongerThanTheModelsTimeout: behind a request of the same sequence that hangs.
func TestTurnIsWaitedForNoLongerThanTheModelsTimeout(t *testing.T) {
	v := sums(t, sumState+"}")
	v.Timeout = 50 * time.Millisecond
	ctx := context.Background()
	if _, _, err := send(ctx, v, Sequence{Number: 7, Start: true}, 1); err != nil {
		t.Fatal(err)
	}
	turn := v.sequences.live[sequenceKey{number: 7}].turn
	<-turn
	if _, _, err := send(ctx, v, Sequence{Number: 7}, 1); api.CodeOf(err) != api.CodeRequestTimeout {
		t.Errorf("got %v", err)
	}
	turn <- struct{}{}
	if sum, _, err := send(ctx, v, Sequence{Number: 7}, 2); err != nil || sum != 3 {
		t.Errorf("got %v, %v", sum, err)
	}
}
