package releases

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/repository/store"
)

// killedDir names the folder for a process that is to be killed.
const killedDir = "AIMASS_TEST_KILLED_DIR"

// TestKilledChild pushes, promotes and rolls back until it is killed, and says after each step what it did.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		return // it is the child of TestKilled
	}
	h := newHouse(t, dir)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	fmt.Println("ready")
	for {
		have, err := h.repo.OnDisk("scale")
		if err != nil && api.CodeOf(err) != api.CodeModelNotFound {
			t.Fatal(err)
		}
		next := int64(1)
		if n := len(have); n > 0 {
			next = have[n-1] + 1
		}
		b, sha := pack(t, map[string]string{"model.onnx": string(scale(t, float32(next)))})
		at := int64(0)
		if u, err := h.Progress("scale", next); err == nil && u.Size == int64(len(b)) {
			at = u.Offset // where the one before was killed
		}
		for complete := false; !complete; { // an empty last piece, if only the end was missing
			n := min(int64(100+r.IntN(400)), int64(len(b))-at)
			u, err := h.Upload(ctx, "scale", next, store.Piece{Offset: at, Length: n, Size: int64(len(b)), SHA256: sha}, bytes.NewReader(b[at:at+n]), true, By{})
			if err != nil {
				t.Fatal(err)
			}
			at, complete = u.Offset, u.Complete
			fmt.Println("piece")
		}
		fmt.Println(pushed)
		for range r.IntN(3) {
			if _, err := h.Promote(ctx, "scale", Promotion{Version: strconv.FormatInt(1+r.Int64N(next), 10)}, By{}); err != nil {
				t.Fatal(err)
			}
			fmt.Println("promoted")
		}
		if _, err := h.Rollback(ctx, "scale", By{}); err != nil && api.CodeOf(err) != api.CodeRollbackImpossible {
			t.Fatal(err)
		}
		fmt.Println("rolled back")
	}
}

// pushed is what the child says once a version is whole.
const pushed = "pushed"

// TestKilled kills a server at random points, again and again on one folder: there is
// never half a version, never a state that can't be read, and the next server serves and
// goes on. AIMASS_KILL_ROUNDS=200 is the long form.
func TestKilled(t *testing.T) {
	rounds := 12
	if n, err := strconv.Atoi(os.Getenv("AIMASS_KILL_ROUNDS")); err == nil {
		rounds = n
	}
	dir := t.TempDir()
	done := false // a version has been pushed
	for round := range rounds {
		c := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
		c.Env = append(os.Environ(), killedDir+"="+dir, "TMPDIR="+t.TempDir())
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(out)
		next := func() string {
			if !said.Scan() {
				_ = c.Wait()
				t.Fatalf("round %d: the server ended by itself: %v", round, said.Err())
			}
			return said.Text()
		}
		if line := next(); line != "ready" {
			_ = c.Process.Kill()
			t.Fatalf("round %d: the server on what was left says %q", round, line)
		}
		// After some steps, and somewhere within the next; the last server has pushed at least once.
		for steps := rand.N(25); steps > 0; steps-- {
			done = next() == pushed || done
		}
		for round == rounds-1 && !done {
			done = next() == pushed
		}
		time.Sleep(rand.N(3 * time.Millisecond))
		_ = c.Process.Kill()
		for said.Scan() {
		}
		_ = c.Wait()
		if c.ProcessState.Exited() {
			t.Fatalf("round %d: the server ended by itself: %v", round, c.ProcessState)
		}
		checkWhole(t, dir)
		if t.Failed() {
			return
		}
	}
	h := newHouse(t, dir)
	have, err := h.repo.OnDisk("scale")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := h.Status("scale")
	t.Logf("%d rounds left %d versions, stable %d", rounds, len(have), s.Stable)
	serves := s.Stable
	if serves == 0 { // killed between the first version and the note that it is stable
		serves = have[len(have)-1]
	}
	if w := h.ask(t, ""); int64(w) != serves {
		t.Errorf("version %d is due, and %v answers", serves, w)
	}
	store.New(store.Config{Dir: dir}).Clean()
	if left, _ := filepath.Glob(filepath.Join(dir, store.Folder, "staging", "*.lock")); len(left) > 0 {
		t.Errorf("not cleaned up: %v", left)
	}
}

// checkWhole looks at what a killed server left on disk.
func checkWhole(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "scale"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	on := map[int64]bool{}
	for _, e := range entries {
		n, ok := config.ParseVersion(e.Name())
		if !ok {
			t.Errorf("%s lies beside the versions", e.Name())
			continue
		}
		on[n] = true
		b, err := os.ReadFile(filepath.Join(dir, "scale", e.Name(), "model.onnx"))
		if err != nil || !bytes.Equal(b, scale(t, float32(n))) {
			t.Errorf("version %d is not whole: %v", n, err)
		}
	}
	b, _, err := store.New(store.Config{Dir: dir}).State("scale")
	if err != nil {
		t.Fatal(err)
	}
	s, err := release.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Versions() {
		if !on[v] {
			t.Errorf("the release names version %d, which is not there", v)
		}
	}
}
