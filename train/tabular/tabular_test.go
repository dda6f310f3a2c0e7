package tabular

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/features"
)

// people writes a table whose outcome depends on numbers and categories, with missing values.
func people(t testing.TB, rows int) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 3))
	var b strings.Builder
	b.WriteString("id,age,income,city,pet,member,day,who,level,spend\n")
	cities := []string{"Oslo", "Rome", "Bern, CH", `New "York"`, "Lima"}
	for i := range rows {
		age, income := 18+rng.Float64()*60, math.Exp(rng.NormFloat64()+3)
		c := rng.IntN(len(cities))
		pet := []string{"cat", "dog", ""}[rng.IntN(3)]
		z := (age-48)/12 + float64(c) - 2 + rng.NormFloat64()
		level := []string{"low", "mid", "high"}[min(2, max(0, int(z+2)))]
		ageText := fmt.Sprintf("%.1f", age)
		if rng.IntN(10) == 0 {
			ageText = "NA"
		}
		member := "no"
		if z > 0 {
			member = "yes"
		}
		fmt.Fprintf(&b, "u%06d,%s,%.2f,\"%s\",%s,%s,%d,w%d,%s,%.3f\n", i, ageText, income, strings.ReplaceAll(cities[c], `"`, `""`), pet, member, i/10, i/7, level,
			100+20*z)
	}
	path := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// learners are the trainers that need no program.
var learners = []string{"gbdt", "linear", "mlp"}

func registry() train.Registry {
	r := train.Registry{}
	Add(r, nil)
	return r
}

func job(data, out, trainer, target string, ignore ...string) train.Job {
	types := map[string]string{}
	for _, name := range ignore {
		types[name] = "ignore"
	}
	return train.Job{Trainer: trainer, Data: data, Out: out, Model: "m", Seed: 1, Workers: 2, Now: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
		Columns: train.Columns{Target: target, Types: types}, Parameters: map[string]string{}}
}

func value(t *testing.T, res train.Result, name string) float64 {
	t.Helper()
	for _, m := range res.Metrics {
		if m.Name == name {
			return m.Value
		}
	}
	t.Fatalf("no figure %s among %v", name, res.Metrics)
	return 0
}

// TestEveryLearnerOnEveryTask: the figures are as good as the data allow, and what the version
// holds can be read. That the exported model answers alike is the trainer's own step.
func TestEveryLearnerOnEveryTask(t *testing.T) {
	data := people(t, 4000)
	for _, trainer := range learners {
		for _, x := range []struct {
			target, task, figure string
			low, high            float64
			ignore               []string
		}{
			{"member", "", "auc", 0.83, 0.99, []string{"level", "spend"}},
			{"level", "", "accuracy", 0.5, 0.95, []string{"member", "spend"}},
			{"spend", "", "r2", 0.6, 0.9, []string{"member", "level"}},
			{"spend", "quantile", "coverage", 0.84, 0.96, []string{"member", "level"}},
		} {
			t.Run(trainer+"/"+x.target+x.task, func(t *testing.T) {
				out := t.TempDir()
				j := job(data, out, trainer, x.target, append(x.ignore, "day", "who")...)
				if x.task != "" {
					j.Parameters["task"], j.Parameters["quantile"] = x.task, "0.9"
				}
				res, err := registry().Run(context.Background(), j)
				if trainer != "gbdt" && x.task != "" {
					if api.CodeOf(err) != api.CodeTrainingParameterInvalid {
						t.Errorf("a task that it lacks: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if v := value(t, res, x.figure); v < x.low || v > x.high {
					t.Errorf("%s is %v, want %v to %v", x.figure, v, x.low, x.high)
				}
				if x.task == "" && x.target == "spend" {
					if v := value(t, res, "interval_coverage"); v < 0.86 || v > 0.95 {
						t.Errorf("intervals cover %v, want some 0.9", v)
					}
				}
				b, err := os.ReadFile(filepath.Join(res.Path, features.FileName))
				if err != nil {
					t.Fatal(err)
				}
				s, err := features.Parse(b)
				if err != nil || len(s.Features) != 4 || s.Prediction == nil {
					t.Errorf("%d features, %v: want age, income, city, pet", len(s.Features), err)
				}
				var rep report
				b, err = os.ReadFile(filepath.Join(res.Path, "report.json"))
				if err == nil {
					err = json.Unmarshal(b, &rep)
				}
				if err != nil || rep.Version != 1 || len(rep.LeftOut) != 1 {
					t.Errorf("version %d, left out %v, %v: want id as an identifier", rep.Version, rep.LeftOut, err)
				}
			})
		}
	}
}

func TestWhatIsWrongHasItsCode(t *testing.T) {
	data := people(t, 400)
	f := func(want api.Code, text string, change func(j *train.Job)) {
		t.Helper()
		out := t.TempDir()
		j := job(data, out, "gbdt", "member", "level", "spend")
		change(&j)
		_, err := registry().Run(context.Background(), j)
		if api.CodeOf(err) != want || !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("%v, want %s with %q", err, want, text)
		}
		if entries, _ := os.ReadDir(filepath.Join(out, "m")); len(entries) > 0 {
			t.Errorf("something was written: %v", entries)
		}
	}
	set := func(k, v string) func(*train.Job) { return func(j *train.Job) { j.Parameters[k] = v } }
	csv := func(text string) func(*train.Job) {
		path := filepath.Join(t.TempDir(), "x.csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return func(j *train.Job) { j.Data = path; j.Columns.Types = nil }
	}
	rows := func(n int, row string) string { return "a,member\n" + strings.Repeat(row+"\n", n) }
	f(api.CodeTrainingParameterInvalid, "no parameter", set("colour", "red"))
	f(api.CodeTrainingParameterInvalid, "whole number", set("rounds", "1.5"))
	f(api.CodeTrainingParameterInvalid, "number", set("l2", "NaN"))
	f(api.CodeTrainingParameterInvalid, "Leaves", set("leaves", "1"))
	f(api.CodeTrainingParameterInvalid, "no numeric feature", set("monotone", "city:+1"))
	f(api.CodeTrainingParameterInvalid, "classes", set("class_weights", "maybe:2"))
	f(api.CodeTrainingParameterInvalid, "not measured", set("gates", "rmse<=1"))
	f(api.CodeTrainingParameterInvalid, "below 0.9", set("test", "0.9"))
	f(api.CodeTrainingParameterInvalid, "model's name", func(j *train.Job) { j.Model = "../x" })
	f(api.CodeTrainingParameterInvalid, "target", func(j *train.Job) { j.Columns.Target = "" })
	f(api.CodeTrainingParameterInvalid, "must be numeric", func(j *train.Job) { j.Columns.Types["age"] = "date" })
	f(api.CodeTrainingGateMissed, "auc", set("gates", "auc>=0.999"))
	f(api.CodeTrainingColumnMissing, "lack", func(j *train.Job) { j.Columns.Target = "absent" })
	f(api.CodeTrainingColumnMissing, "lack", func(j *train.Job) { j.Columns.Types["absent"] = "numeric" })
	f(api.CodeTrainingDataUnreadable, "opened", func(j *train.Job) { j.Data = "/absent" })
	f(api.CodeTrainingDataChecksum, "sha256", func(j *train.Job) { j.SHA256 = "00" })
	f(api.CodeTrainingDataUnreadable, "empty", csv(""))
	f(api.CodeTrainingDataUnreadable, "first line", csv("a,a\n1,2\n"))
	f(api.CodeTrainingDataUnreadable, "more or fewer", csv("a,member\n1,2,3\n"))
	f(api.CodeTrainingTooFewRows, "60", csv(rows(10, "1,yes")))
	f(api.CodeTrainingColumnMissing, "target", csv(strings.ReplaceAll(rows(10, "1,yes"), "member", "other")))
	f(api.CodeTrainingOneClass, "one value", csv(rows(100, "1,yes")))
	f(api.CodeTrainingValueInvalid, "line 102", csv(rows(100, "1,yes")+"x,no\n"))
	f(api.CodeTrainingValueInvalid, "no value in the target", csv(rows(100, "1,yes")+"1,\n"))
	f(api.CodeTrainingValueInvalid, `1e+300 in column "a"`, csv(rows(100, "1,yes")+"1e300,no\n"))
	f(api.CodeTrainingValueInvalid, `in column "member"`, csv(rows(100, "1,2")+"2,-1e300\n3,3\n"))
	f(api.CodeTrainingColumnMissing, "constant", csv(rows(100, "1,yes")+rows(100, "1,no")[len("a,member\n"):]))
}

// TestUndefinedFiguresAreLeftOut: where the test rows have one class alone there is no AUC, and a
// model all the same; a gate on it is refused.
func TestUndefinedFiguresAreLeftOut(t *testing.T) {
	text := "a,b,member\n"
	for i := range 200 {
		text += fmt.Sprintf("%d,%d,%v\n", i%17, i%5, i == 0)
	}
	data := filepath.Join(t.TempDir(), "rare.csv")
	if err := os.WriteFile(data, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range learners {
		j := job(data, t.TempDir(), name, "member")
		j.Columns.Types, j.Seed = nil, 1
		res, err := registry().Run(context.Background(), j)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, m := range res.Metrics {
			if m.Name == "auc" || !finite(m.Value) || !finite(m.Low) || !finite(m.High) {
				t.Errorf("%s: %+v", name, m)
			}
		}
		value(t, res, "brier")
		j.Parameters["gates"] = "auc>=0.5"
		if _, err := registry().Run(context.Background(), j); api.CodeOf(err) != api.CodeTrainingParameterInvalid {
			t.Errorf("%s: a gate on no figure: %v", name, err)
		}
	}
}

// TestGroupsAndOrder: no group is both fitted and tested on, and with an order the last rows
// are tested on.
func TestGroupsAndOrder(t *testing.T) {
	data := people(t, 2000)
	read := func(c train.Columns) *problem {
		j := job(data, t.TempDir(), "gbdt", "member")
		j.Columns = c
		r := run{job: &j, settings: defaultSettings()}
		if err := errors.Join(r.parameters(newGBDT().params()), r.data()); err != nil {
			t.Fatal(err)
		}
		return r.p
	}
	p := read(train.Columns{Target: "member", Group: "who"})
	in := map[int]bool{}
	for _, g := range p.fit.groups {
		in[g] = true
	}
	for _, g := range p.test.groups {
		if in[g] {
			t.Fatalf("group %d is fitted and tested on", g)
		}
	}
	p = read(train.Columns{Target: "member", Order: "day"})
	day := p.table.Find("day").Numbers
	if last, first := day[p.calibrate.rows[len(p.calibrate.rows)-1]], day[p.test.rows[0]]; last > first {
		t.Errorf("day %v is calibrated on, day %v tested", last, first)
	}
	if n := len(p.test.rows); n < 350 || n > 450 {
		t.Errorf("%d rows to test, want some 400", n)
	}
}

// TestSameSeedSameModel: a job that is run again makes the same file.
func TestSameSeedSameModel(t *testing.T) {
	data := people(t, 1000)
	for _, trainer := range learners {
		out := t.TempDir()
		for range 2 {
			if _, err := registry().Run(context.Background(), job(data, out, trainer, "spend", "member", "level")); err != nil {
				t.Fatal(err)
			}
		}
		a, _ := os.ReadFile(filepath.Join(out, "m", "1", "model.onnx"))
		b, _ := os.ReadFile(filepath.Join(out, "m", "2", "model.onnx"))
		if len(a) == 0 || string(a) != string(b) {
			t.Errorf("%s: two runs made files of %d and %d bytes that differ", trainer, len(a), len(b))
		}
	}
}
