package noshow

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/train"
)

// TestRecalibrate: a clinic where twice as many stay away gets probabilities that fit it,
// in the order they had.
func TestRecalibrate(t *testing.T) {
	out := t.TempDir()
	_, err := Train(context.Background(), train.Job{Out: out, Seed: 1, Now: time.Now(), Parameters: map[string]string{"rounds": "60"}})
	if err != nil {
		t.Fatal(err)
	}
	write := func(rows []Record) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "clinic.csv")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := WriteCSV(f, rows); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := DefaultClinic(9)
	own.Patients = 1500
	rows := Simulate(own)
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range rows {
		rows[i].NoShow = rows[i].NoShow || rng.Float64() < .25
	}
	job := train.Job{Data: write(rows), Out: out, Now: time.Now(), Parameters: map[string]string{"base": "appt-noshow/1"}}
	res, err := Recalibrate(context.Background(), job)
	if err != nil {
		t.Fatalf("%v, %+v", err, res.Metrics)
	}
	value := map[string]float64{}
	for _, m := range res.Metrics {
		value[m.Name] = m.Value
	}
	if res.Model != "appt-noshow" || res.Version != 2 || !(value["log_loss"] < value["log_loss_base"]) || !(value["ece15"] < value["ece15_base"]/2) {
		t.Errorf("%+v", res)
	}
	before, err := readBase(out, "appt-noshow/1")
	if err != nil {
		t.Fatal(err)
	}
	after, err := readBase(out, "appt-noshow/2")
	if err != nil {
		t.Fatal(err)
	}
	low, high := make([]float32, 17), make([]float32, 17)
	low[0], high[0], low[3], high[2] = 70, 20, 1, 30
	low[14], low[15], high[14], high[15] = -1, -1, -1, -1
	if a, b := before.Predict(high, -1).NoShow, after.Predict(high, -1).NoShow; b <= a || after.Predict(low, -1).NoShow >= b {
		t.Errorf("%.3f became %.3f, the low one is %.3f", a, b, after.Predict(low, -1).NoShow)
	}
	if _, err := os.Stat(filepath.Join(res.Path, "model.onnx")); err != nil {
		t.Error(err)
	}
	refuse := func(want string, job train.Job) {
		t.Helper()
		if _, err := Recalibrate(context.Background(), job); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for i := range rows {
		rows[i].NoShow = i%200 == 0
	}
	job.Data = write(rows)
	refuse("no-shows among", job)
	job.Parameters = nil
	refuse("parameter base", job)
	job.Parameters = map[string]string{"base": "appt-noshow/7"}
	refuse(baseFile, job)
	job.Parameters = map[string]string{"base": "../elsewhere/1"}
	refuse("parameter base", job)
	job.Parameters = map[string]string{"speed": "x"}
	refuse(`"speed"`, job)
}
