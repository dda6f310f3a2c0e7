//go:build linux

package tabular

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/features"
	"github.com/aimass/aimass/train/program"
)

// withProgram runs the trainer command with a shell script.
func withProgram(t *testing.T, j train.Job, c program.Config, script string) (train.Result, error) {
	t.Helper()
	r := train.Registry{}
	c.Command = []string{"sh", "-c", script}
	Add(r, map[string]program.Config{"p": c})
	j.Trainer = "command"
	return r.Run(context.Background(), j)
}

// TestCommand: a program's model is measured, bound and published; everything that a program
// can do wrong has its code and publishes nothing.
func TestCommand(t *testing.T) {
	data, models := people(t, 1000), t.TempDir()
	base := func() train.Job {
		j := job(data, t.TempDir(), "command", "member", "level", "spend", "who", "day")
		j.Parameters = map[string]string{"depth": "3", "gates": "auc>=0.6"}
		return j
	}
	made := job(data, models, "gbdt", "member", "level", "spend", "who", "day")
	if _, err := registry().Run(context.Background(), made); err != nil {
		t.Fatal(err)
	}
	other := job(data, models, "gbdt", "member", "level", "spend", "who", "day", "age")
	other.Model = "other"
	if _, err := registry().Run(context.Background(), other); err != nil {
		t.Fatal(err)
	}
	good, wrong := filepath.Join(models, "m", "1", "model.onnx"), filepath.Join(models, "other", "1", "model.onnx")
	j := base()
	res, err := withProgram(t, j, program.Config{}, `test "$PARAM_DEPTH" = 3 && test "$TARGET" = member && test "$TASK" = binary && grep -q age "$SCHEMA" &&
		test $(head -1 "$DATA") = age,income,city,pet,member && test $(wc -l <"$DATA") -gt 700 && echo fitted && cp `+good+` "$OUT/model.onnx"`)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(res.Path, features.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := features.Parse(b); err != nil || len(s.Features) != 4 || s.Prediction.Tensor != "probabilities" {
		t.Errorf("schema: %v", err)
	}
	f := func(want api.Code, text string, c program.Config, script string) {
		t.Helper()
		j := base()
		_, err := withProgram(t, j, c, script)
		if api.CodeOf(err) != want || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %s with %q", script, err, want, text)
		}
		if entries, _ := os.ReadDir(filepath.Join(j.Out, "m")); len(entries) > 0 {
			t.Errorf("%s: something was published: %v", script, entries)
		}
	}
	f(api.CodeTrainingProgramFailed, "status 7", program.Config{}, "exit 7")
	f(api.CodeTrainingTimeExceeded, "100ms", program.Config{Time: 100 * time.Millisecond}, "sleep 60")
	f(api.CodeTrainingModelMissing, "model.onnx", program.Config{}, "true")
	f(api.CodeTrainingModelInvalid, "loaded", program.Config{}, `echo garbage >"$OUT/model.onnx"`)
	f(api.CodeTrainingModelInvalid, "plain file", program.Config{}, `ln -s `+good+` "$OUT/model.onnx"`)
	f(api.CodeTrainingModelInvalid, "plain file", program.Config{}, `mkfifo "$OUT/model.onnx"`)
	f(api.CodeTrainingModelSchema, "FP32 [-1,2]", program.Config{}, `cp `+wrong+` "$OUT/model.onnx"`)
	j = base()
	j.Parameters["gates"] = "auc>=0.9999"
	if _, err := withProgram(t, j, program.Config{}, `cp `+good+` "$OUT/model.onnx"`); api.CodeOf(err) != api.CodeTrainingGateMissed {
		t.Errorf("gate: %v", err)
	}
	j = base()
	j.Parameters["program"] = "absent"
	if _, err := withProgram(t, j, program.Config{}, "true"); api.CodeOf(err) != api.CodeTrainerUnknown {
		t.Errorf("another program: %v", err)
	}
	if err := registry().Check(j); api.CodeOf(err) != api.CodeTrainerUnknown || !strings.Contains(err.Error(), `"absent"; the server's configuration names none`) {
		t.Errorf("another program, before the job runs: %v", err)
	}
	j = base()
	j.Parameters["LD PRELOAD"] = "x"
	if _, err := withProgram(t, j, program.Config{}, "true"); api.CodeOf(err) != api.CodeTrainingParameterInvalid {
		t.Errorf("a parameter that is no name: %v", err)
	}
}

// TestNextVersionKeepsTheSchema: what callers send must go on working, unless it is allowed
// not to.
func TestNextVersionKeepsTheSchema(t *testing.T) {
	data, out := people(t, 500), t.TempDir()
	run := func(allow bool, ignore ...string) error {
		j := job(data, out, "linear", "member", append(ignore, "level", "spend", "who", "day")...)
		if allow {
			j.Parameters["schema"] = "any"
		}
		_, err := registry().Run(context.Background(), j)
		return err
	}
	if err := run(false); err != nil {
		t.Fatal(err)
	}
	if err := run(false, "income"); api.CodeOf(err) != api.CodeTrainingModelSchema {
		t.Errorf("a column less: %v", err)
	}
	if err := run(true, "income"); err != nil {
		t.Errorf("a column less, allowed: %v", err)
	}
}

// sklearn fits a pipeline of scikit-learn and exports it with skl2onnx, one input a column.
const sklearn = `
import os
import numpy as np, pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

target = os.environ["TARGET"]
d = pd.read_csv(os.environ["DATA"], keep_default_na=False)
num, cat = ["age", "income"], ["city", "pet"]
for c in num:
    d[c] = pd.to_numeric(d[c]).astype(np.float32)
model = Pipeline([("x", ColumnTransformer([("n", SimpleImputer(), num), ("c", OneHotEncoder(handle_unknown="ignore"), cat)])),
                  ("m", GradientBoostingClassifier(n_estimators=int(os.environ["PARAM_TREES"]), random_state=0))])
model.fit(d[num + cat], d[target])
types = [(c, FloatTensorType([None, 1])) for c in num] + [(c, StringTensorType([None, 1])) for c in cat]
onx = to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}}, target_opset={"": 17, "ai.onnx.ml": 3})
with open(os.path.join(os.environ["OUT"], "model.onnx"), "wb") as f:
    f.write(onx.SerializeToString())
print("fitted", len(d))
`

// TestScikitLearn runs the real thing where make bench-train-setup has put it.
func TestScikitLearn(t *testing.T) {
	python, err := filepath.Abs("../../build/train-venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Log("NOT RUN: TestScikitLearn: make bench-train-setup has not put scikit-learn and skl2onnx into build/train-venv")
		return
	}
	script := filepath.Join(t.TempDir(), "fit.py")
	if err := os.WriteFile(script, []byte(sklearn), 0o600); err != nil {
		t.Fatal(err)
	}
	r := train.Registry{}
	Add(r, map[string]program.Config{"sklearn": {Command: []string{python, script}, Time: 5 * time.Minute}})
	j := job(people(t, 2000), t.TempDir(), "command", "member", "level", "spend", "who", "day")
	j.Parameters = map[string]string{"trees": "50", "gates": "auc>=0.8"}
	res, err := r.Run(context.Background(), j)
	if err != nil {
		t.Fatal(err)
	}
	if v := value(t, res, "auc"); v < 0.85 {
		t.Errorf("AUC %v, want some 0.9", v)
	}
}
