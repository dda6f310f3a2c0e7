package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
)

// visits is a table whose outcome depends on a number and a category.
func visits(rows int) string {
	rng := rand.New(rand.NewPCG(9, 9))
	var b strings.Builder
	b.WriteString("wait,ward,note,stays\n")
	wards := []string{"north", "south", "east"}
	for i := range rows {
		w, c := rng.Float64()*60, rng.IntN(3)
		y := "no"
		if w/20+float64(c)+rng.NormFloat64() > 2.5 {
			y = "yes"
		}
		fmt.Fprintf(&b, "%.2f,%s,n%d,%s\n", w, wards[c], i, y)
	}
	return b.String()
}

// patience is how long a test waits for a training job. Jobs take only the time that nobody
// else wants (SCHED_IDLE), so on a machine that is busy with other tests a second's work can take minutes.
const patience = 5 * time.Minute

// trainClient starts a server on a folder of models, with a client.
func trainClient(t *testing.T, models string, args ...string) (*process, *client.Client) {
	t.Helper()
	p := start(t, models, "127.0.0.1", args...)
	c, err := client.New(p.url(""), client.Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return p, c
}

// TestE2ETraining goes the whole way: data up, a job, its log, the model served, what training
// has not seen refused, drift told, and the data of a job in use kept.
func TestE2ETraining(t *testing.T) {
	models := t.TempDir()
	if err := os.MkdirAll(filepath.Join(models, "visits"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := "parameters { key: \"feature_policy\" value { string_value: \"reject\" } }\n"
	if err := os.WriteFile(filepath.Join(models, "visits", "config.pbtxt"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, c := trainClient(t, models)
	ctx := t.Context()
	snap, err := c.AddSnapshot(ctx, "visits.csv", strings.NewReader(visits(3000)))
	if err != nil || snap.Rows != 3000 || len(snap.Columns) != 4 {
		t.Fatalf("%+v %v", snap, err)
	}
	if again, err := c.AddSnapshot(ctx, "again.csv", strings.NewReader(visits(3000))); err != nil || again.ID != snap.ID {
		t.Errorf("the same data are stored twice: %v", err)
	}
	j, err := c.Train(ctx, &client.TrainingRequest{Trainer: "gbdt", Model: "visits", Data: client.TrainingData{Snapshot: snap.ID}, Target: "stays",
		Parameters: map[string]string{"rounds": "60", "gates": "auc>=0.75"}, Load: true})
	if err != nil {
		t.Fatal(err)
	}
	var stages []string
	j, err = c.FollowTraining(ctx, j.ID, func(l client.TrainingLine) {
		if !slices.Contains(stages, l.Stage) {
			stages = append(stages, l.Stage)
		}
	})
	if err != nil || j.State != "succeeded" || j.Result.Version != 1 {
		t.Fatalf("%+v %v", j, err)
	}
	if want := "read features trees calibrate test try write done"; strings.Join(stages, " ") != want {
		t.Errorf("stages %v, want %s", stages, want)
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if ok, err := c.ModelReady(ctx, "visits", ""); ok && err == nil {
			break
		} else if time.Now().After(until) {
			t.Fatalf("the model does not serve: %v", err)
		}
	}
	infer := func(wait float32, ward string) error {
		_, err := c.Infer(ctx, &client.Request{Model: "visits", Inputs: []client.Tensor{
			client.Float32("numeric", []int{1, 1}, []float32{wait}), client.Strings("categorical", []int{1, 1}, []string{ward})}})
		return err
	}
	f := func(want api.Code, wait float32, ward string) {
		t.Helper()
		if err := infer(wait, ward); api.CodeOf(err) != want {
			t.Errorf("wait %v, ward %s: %v, want %s", wait, ward, err, want)
		}
	}
	f("", 30, "north")
	f(api.CodeFeatureOutOfRange, 600, "north")
	f(api.CodeFeatureUnknownCategory, 30, "moon")
	for i := range 300 { // all of them late, all of them in one ward
		f("", 50+float32(i%10), "east")
	}
	d, err := c.Drift(ctx, "visits", "")
	if err != nil || !d.Drifted || !d.Features[0].Drifted || !d.Features[1].Drifted || d.Features[0].KS < 0.7 || d.Prediction.Low <= d.Prediction.TrainingMean {
		t.Errorf("drift %+v %v", d, err)
	}
	names, err := c.TrainingArtefacts(ctx, j.ID)
	if want := "features.json job.txt log.jsonl model.onnx model_card.json model_card.md report.json"; err != nil || strings.Join(names, " ") != want {
		t.Errorf("artefacts %v: %v", names, err)
	}
	card, err := c.TrainingArtefact(ctx, j.ID, "model_card.md")
	if err != nil || !strings.Contains(string(card), "# visits, version 1") {
		t.Errorf("card %.100s: %v", card, err)
	}
	if err := c.RemoveSnapshot(ctx, snap.ID); err != nil {
		t.Error(err)
	}
}

// TestE2ECompression: a model that a job trained is compressed by another, on uploaded requests,
// and serves under another name; a bar that can't be met is told by its code.
func TestE2ECompression(t *testing.T) {
	models := t.TempDir()
	_, c := trainClient(t, models)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	do := func(r *client.TrainingRequest) *client.TrainingJob {
		t.Helper()
		j, err := c.Train(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if j, err = c.FollowTraining(ctx, j.ID, func(client.TrainingLine) {}); err != nil {
			t.Fatal(err)
		}
		return j
	}
	if j := do(&client.TrainingRequest{Trainer: "mlp", Model: "visits", Data: client.TrainingData{CSV: visits(1000)}, Target: "stays", Parameters: map[string]string{"epochs": "2"}}); j.State != "succeeded" {
		t.Fatalf("%+v", j.Error)
	}
	line := `{"inputs":[{"name":"numeric","shape":[1,1],"datatype":"FP32","data":[30]},{"name":"categorical","shape":[1,1],"datatype":"BYTES","data":["north"]}]}`
	snap, err := c.AddRequests(ctx, "rows.jsonl", strings.NewReader(line+"\n"+line+"\n"))
	if err != nil || snap.Kind != "requests" || snap.Rows != 2 {
		t.Fatalf("%+v %v", snap, err)
	}
	r := &client.TrainingRequest{Trainer: "compress", Model: "light", Data: client.TrainingData{Snapshot: snap.ID}, Load: true,
		Parameters: map[string]string{"base": "visits/1", "crop": "true", "pack": "true", "max_error": "0.01"}}
	j := do(r)
	if j.State != "succeeded" || j.Result.Model != "light" {
		t.Fatalf("%+v", j.Error)
	}
	names, err := c.TrainingArtefacts(ctx, j.ID)
	if want := "features.json job.txt log.jsonl model.onnx.zst model_card.json model_card.md report.json report.txt"; err != nil || strings.Join(names, " ") != want {
		t.Errorf("artefacts %v: %v", names, err)
	}
	for ok := false; !ok && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		ok, _ = c.ModelReady(ctx, "light", "")
	}
	if _, err := c.Infer(ctx, &client.Request{Model: "light", Inputs: []client.Tensor{
		client.Float32("numeric", []int{1, 1}, []float32{30}), client.Strings("categorical", []int{1, 1}, []string{"north"})}}); err != nil {
		t.Error(err)
	}
	r.Parameters["min_cosine"] = "2"
	if j := do(r); j.State != "failed" || api.Code(j.Error.Code) != api.CodeCompressionBarMissed || len(j.Result.Metrics) == 0 {
		t.Errorf("a bar that can't be met: %s %+v", j.State, j.Error)
	}
}

// TestE2ETrainingSurvivesKill: the server is killed with a job running; the next one ends it.
func TestE2ETrainingSurvivesKill(t *testing.T) {
	models := t.TempDir()
	p, c := trainClient(t, models)
	j, err := c.Train(t.Context(), &client.TrainingRequest{Trainer: "gbdt", Model: "visits", Data: client.TrainingData{CSV: visits(20000)}, Target: "stays",
		Parameters: map[string]string{"rounds": "400", "early_stop": "0"}})
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if k, err := c.TrainingJob(t.Context(), j.ID); err == nil && k.Progress != nil && k.Progress.Stage == "trees" {
			break
		} else if time.Now().After(until) {
			t.Fatalf("the job does not begin: %+v %v", k, err)
		}
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_, again := trainClient(t, models)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	k, err := again.FollowTraining(ctx, j.ID, func(client.TrainingLine) {})
	if err != nil || k.State != "succeeded" || k.Attempts != 2 || k.Result.Version != 1 {
		t.Errorf("%+v %v", k, err)
	}
	entries, _ := os.ReadDir(filepath.Join(models, "visits"))
	if len(entries) != 1 {
		t.Errorf("the model's folder holds %v", entries)
	}
}
