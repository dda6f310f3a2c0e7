package wait

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
)

// job is a training that takes a moment.
func job(out string) train.Job {
	return train.Job{Out: out, Seed: 1, Now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Parameters: map[string]string{
		"train_days": "300", "calibrate_days": "300", "test_days": "200", "rounds": "40",
	}}
}

func codeOf(err error) api.Code { return api.CodeOf(err) }

func TestTrainJobWritesWhatLoads(t *testing.T) {
	out := t.TempDir()
	res, err := TrainJob(context.Background(), job(out))
	if err != nil {
		t.Fatalf("%v: %+v", err, res.Metrics)
	}
	again, err := TrainJob(context.Background(), job(out))
	if err != nil || res.Version != 1 || again.Version != 2 {
		t.Fatalf("versions %d, %d: %v", res.Version, again.Version, err)
	}
	one, err1 := os.ReadFile(filepath.Join(res.Path, FileName))
	two, err2 := os.ReadFile(filepath.Join(again.Path, FileName))
	if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Errorf("one seed gave two models (%v, %v)", err1, err2)
	}
	m, err := Load(bytes.NewReader(one))
	if err != nil {
		t.Fatal(err)
	}
	first, late := make([]float32, NumFeatures), make([]float32, NumFeatures)
	first[FeatureN], late[FeatureN] = 16, 16
	late[FeatureIndex], late[FeatureSlotMinute], late[FeatureDrift], late[FeatureExpectedAhead] = 15, 150, 40, 12
	if a, b := m.Predict(first), m.Predict(late); b.P90 <= a.P90+5 {
		t.Errorf("P90 %v for the first, %v for the last of a full session", a.P90, b.P90)
	}
	card, err := os.ReadFile(filepath.Join(res.Path, "model_card.md"))
	config, err2 := os.ReadFile(filepath.Join(out, ModelName, "config.pbtxt"))
	if err != nil || err2 != nil || !strings.Contains(string(card), "wait_p90_cover") || !strings.Contains(string(config), `backend: "native"`) {
		t.Errorf("card %v:\n%s\nconfig %v:\n%s", err, card, err2, config)
	}
}

// TestGateKeepsAModelBack trains too little to be right.
func TestGateKeepsAModelBack(t *testing.T) {
	j := job(t.TempDir())
	j.Parameters = map[string]string{"train_days": "60", "calibrate_days": "3", "test_days": "100", "rounds": "3"}
	res, err := TrainJob(context.Background(), j)
	if codeOf(err) != api.CodeTrainingGateMissed || len(res.Metrics) == 0 {
		t.Errorf("error %v, %d figures", err, len(res.Metrics))
	}
	if entries, _ := os.ReadDir(j.Out); len(entries) != 0 {
		t.Errorf("something was written: %v", entries)
	}
}

func TestTrainJobParameters(t *testing.T) {
	f := func(name, value string) {
		t.Helper()
		j := job(t.TempDir())
		j.Parameters = map[string]string{name: value}
		if _, err := TrainJob(context.Background(), j); codeOf(err) != api.CodeTrainingParameterInvalid {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	f("colour", "red")
	f("rounds", "0")
	f("rounds", "many")
	f("learning_rate", "2")
	j := job(t.TempDir())
	j.Data = "file.csv"
	if _, err := TrainJob(context.Background(), j); codeOf(err) != api.CodeTrainingParameterInvalid {
		t.Errorf("with data: %v", err)
	}
}
