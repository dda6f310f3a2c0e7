//go:build linux

package child

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const asVictim = "AIMASS_TEST_CHILD_VICTIM"

// TestVictim is the process that TestEndLeft kills.
func TestVictim(t *testing.T) {
	dir := os.Getenv(asVictim)
	if dir == "" {
		return // TestEndLeft starts it as a process of its own
	}
	leave := func(name string, o Options) {
		file := filepath.Join(dir, name)
		if _, err := Start(exec.Command("sh", "-c", "setsid sh -c 'echo $$ >"+file+".new; mv "+file+".new "+file+"; exec sleep 300' & sleep 300"), o); err != nil {
			t.Fatal(err)
		}
	}
	leave("left", Options{})
	leave("spared", Options{Spare: true})
	select {}
}

func alive(pid int) bool {
	_, began, running := lifeOf(strconv.Itoa(pid))
	return began != "" && running
}

// number of a process that a file names, once it is there.
func numberIn(t *testing.T, file string) int {
	t.Helper()
	for range 1000 {
		if b, err := os.ReadFile(file); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("there is no " + file)
	return 0
}

// TestEndLeft: what a killed process leaves behind is ended by another; what is somebody else's is not.
func TestEndLeft(t *testing.T) {
	dir := t.TempDir()
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), asVictim+"="+dir)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	left, spared := numberIn(t, filepath.Join(dir, "left")), numberIn(t, filepath.Join(dir, "spared"))
	if n := EndLeft(); n != 0 && !alive(left) {
		t.Fatalf("%d were ended whose starter lives", n)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	dead := self()
	dead.pid, dead.began = strconv.Itoa(victim.Process.Pid), "1"
	foreign := dead
	foreign.spaces = "1.1"
	others := map[string]string{"no mark": "", "a living process's": variable + self().String(), "one of another namespace": variable + foreign.String(),
		"no mark that can be read": variable + dead.String() + ":0"}
	innocent := map[string]*exec.Cmd{}
	for name, env := range others {
		c := exec.Command("sleep", "300")
		c.Env = append(os.Environ(), env)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		innocent[name] = c
	}
	time.Sleep(50 * time.Millisecond)
	if !alive(left) {
		t.Fatal("it did not outlive its starter: the test shows nothing")
	}
	if n := EndLeft(); n < 1 {
		t.Errorf("%d were ended", n)
	}
	for range 100 { // who is killed may still be about to die
		if !alive(left) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if alive(left) {
		t.Error("what was left lives on")
	}
	for name, c := range innocent {
		if !alive(c.Process.Pid) {
			t.Errorf("%s: it was killed", name)
		}
	}
	if !alive(spared) {
		t.Error("what may live on was killed")
	}
	if p, err := os.FindProcess(spared); err == nil {
		_ = p.Kill()
	}
}
