package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trainCommand runs `aimass train …` in process.
func trainCommand(args ...string) (out, errs string, err error) {
	root := newTrainCommand()
	var o, e bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&o)
	root.SetErr(&e)
	root.SilenceUsage, root.SilenceErrors = true, true
	err = root.Execute()
	return o.String(), e.String(), err
}

// TestTrainWorkers: a job leaves serving a core, however many threads Go has.
func TestTrainWorkers(t *testing.T) {
	for threads, want := range map[int]int{1: 1, 2: 1, 8: 7} {
		if got := (&settings{Threads: threads}).trainWorkers(); got != want {
			t.Errorf("%d cores: %d workers, want %d", threads, got, want)
		}
	}
	if got := (&settings{Threads: 2, TrainWorkers: 4}).trainWorkers(); got != 4 {
		t.Errorf("4 asked for: %d", got)
	}
}

func TestTrainSimulatedClinic(t *testing.T) {
	dir := t.TempDir()
	out, errs, err := trainCommand("noshow", "--simulate", "--out", dir, "--set", "rounds=20")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"auc ", "0.5..0.76  passed", "log_loss", filepath.ToSlash(filepath.Join(dir, "appt-noshow", "1"))} {
		if !strings.Contains(out, want) {
			t.Errorf("stdout lacks %q:\n%s", want, out)
		}
	}
	if !strings.Contains(errs, "trees 1 of at most 20") {
		t.Errorf("no progress on stderr:\n%s", errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "appt-noshow", "1", "model.onnx")); err != nil {
		t.Error(err)
	}
}

// TestSimulatedFileTrainsLikeTheClinic writes the clinic's file and trains on
// that: the model must be the same.
func TestSimulatedFileTrainsLikeTheClinic(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "clinic.csv")
	for _, args := range [][]string{
		{"noshow", "--write-csv", file, "--seed", "5"},
		{"noshow", "--data", file, "--out", dir, "--seed", "5", "--set", "rounds=5"},
		{"noshow", "--simulate", "--out", dir, "--seed", "5", "--set", "rounds=5"},
	} {
		if _, _, err := trainCommand(args...); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	a, err1 := os.ReadFile(filepath.Join(dir, "appt-noshow", "1", "model.onnx"))
	b, err2 := os.ReadFile(filepath.Join(dir, "appt-noshow", "2", "model.onnx"))
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("the file gives another model than the clinic (%v, %v)", err1, err2)
	}
}

func TestTrainArguments(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if _, _, err := trainCommand(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
	dir := t.TempDir()
	f("--data FILE is missing", "noshow", "--out", dir)
	f("--out REPOSITORY is missing", "noshow", "--simulate")
	f("exclude each other", "noshow", "--simulate", "--data", "x", "--out", dir)
	f("opened", "noshow", "--data", filepath.Join(dir, "absent.csv"), "--out", dir)
	f("was asked for", "noshow", "--simulate", "--out", dir, "--sha256", "00")
	f("no parameter", "noshow", "--simulate", "--out", dir, "--set", "colour=red")
	f("unknown command", "noshow", "now")
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("something was written: %v", entries)
	}
}
