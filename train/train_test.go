package train

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
)

func TestRunFindsTheTrainerAndTimesIt(t *testing.T) {
	r := Registry{}
	r.Add("b", func(context.Context, Job) (Result, error) { return Result{}, nil })
	r.Add("a", func(_ context.Context, j Job) (Result, error) {
		if j.Now.IsZero() {
			t.Error("the job has no time")
		}
		j.Tell(Event{Stage: "work"})
		time.Sleep(time.Millisecond)
		return Result{Version: 7}, nil
	})
	var told []string
	res, err := r.Run(context.Background(), Job{Trainer: "a", Progress: func(e Event) { told = append(told, e.Stage) }})
	if err != nil || res.Version != 7 || res.Took <= 0 || !slices.Equal(told, []string{"work"}) {
		t.Errorf("%+v %v, told %v", res, err, told)
	}
	if _, err := r.Run(context.Background(), Job{Trainer: "a"}); err != nil {
		t.Errorf("without a listener: %v", err)
	}
	_, err = r.Run(context.Background(), Job{Trainer: "c"})
	if api.CodeOf(err) != api.CodeTrainerUnknown || api.Message(err) != `no trainer is called "c"; there are: a, b` {
		t.Errorf("unknown trainer: %v", err)
	}
}

func TestFailureKeepsMetricsAndCode(t *testing.T) {
	r := Registry{}
	cause := errors.New("cause")
	r.Add("x", func(context.Context, Job) (Result, error) {
		return Result{Metrics: []Metric{{Name: "auc"}}}, api.Errorf(api.CodeTrainingGateMissed, "missed %d: %w", 1, cause)
	})
	res, err := r.Run(context.Background(), Job{Trainer: "x"})
	if api.CodeOf(err) != api.CodeTrainingGateMissed || !errors.Is(err, cause) || err.Error() != "train x: missed 1: cause" || len(res.Metrics) != 1 {
		t.Errorf("%v, metrics %v", err, res.Metrics)
	}
}

func TestNameTakenTwicePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	r := Registry{}
	r.Add("x", nil)
	r.Add("x", nil)
}
