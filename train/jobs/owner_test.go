//go:build linux

package jobs

import (
	"testing"

	"github.com/aimass/aimass/api"
)

// TestServersShareAFolder: what one server runs the others show and cancel and never run as well,
// and when it is gone one of them takes its jobs over.
func TestServersShareAFolder(t *testing.T) {
	dir := t.TempDir()
	c := configIn(t, dir)
	a, stopA := start(t, c)
	first, err := a.Create(request("slow", 2500))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, a, first.ID, func(j *Job) bool { return j.State == Running && j.Progress != nil })
	b, _ := start(t, c) // while the first runs
	second, err := b.Create(request("slow", 1))
	if err != nil {
		t.Fatal(err)
	}
	ended := wait(t, a, second.ID, func(j *Job) bool { return j.State.Done() })
	if ended.State != Succeeded || ended.Attempts != 1 {
		t.Errorf("the other's job, seen from the first: %+v", ended)
	}
	if j := wait(t, b, first.ID, func(j *Job) bool { return j.State.Done() }); j.State != Succeeded || j.Attempts != 1 || j.Result.Version != 2 {
		t.Errorf("the first's job, seen from the other: %+v, result %+v", j, j.Result)
	}
	if n := len(a.List()); n != 2 || n != len(b.List()) {
		t.Errorf("%d and %d jobs are listed, there are 2", n, len(b.List()))
	}

	spin, err := a.Create(request("spin", 0))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, b, spin.ID, func(j *Job) bool { return j.State == Running })
	if _, err := b.Cancel(spin.ID); err != nil {
		t.Fatal(err)
	}
	wait(t, a, spin.ID, func(j *Job) bool { return j.State == Cancelled })
	if _, err := b.Cancel(spin.ID); api.CodeOf(err) != api.CodeTrainingJobFinished {
		t.Errorf("cancelling twice: %v", err)
	}

	left, err := a.Create(request("slow", 800))
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := a.Create(request("slow", 1))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, a, left.ID, func(j *Job) bool { return j.State == Running && j.Progress != nil })
	stopA()
	for _, id := range []string{left.ID, waiting.ID} {
		if j := wait(t, b, id, func(j *Job) bool { return j.State.Done() }); j.State != Succeeded {
			t.Errorf("a job of the server that ended: %+v, error %+v", j, j.Error)
		}
	}
	if n := versions(dir); n != 4 {
		t.Errorf("the jobs made %d versions, expected one each of four", n)
	}
}
