//go:build unix

package book

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aimass/aimass/appointment"
)

// TestMain lets the test binary stand for a clinic that is killed, see TestKilled.
func TestMain(m *testing.M) {
	if path := os.Getenv("BOOK_VICTIM"); path != "" {
		victim(path, os.Getenv("BOOK_LIMIT") != "")
		return
	}
	os.Exit(m.Run())
}

// victim books one slot after the other and says of each that it is booked, until it is
// killed or the store fails.
func victim(path string, limited bool) {
	b, err := Open(Config{Path: path, Zone: time.UTC})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	if limited { // writes beyond this fail
		signal.Ignore(syscall.SIGXFSZ)
		st, _ := os.Stat(path)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(st.Size()), Max: uint64(st.Size())}); err != nil {
			fmt.Println("error", err)
		}
	}
	slots, _ := b.Slots("a", time.Now(), time.Now().AddDate(1, 0, 0))
	for _, s := range slots {
		if s.Status != Free {
			continue
		}
		v, err := b.BookNow("p", Ask{Patient: "p", Doctor: "a", Start: s.Start, Urgency: 1, Note: strings.Repeat("x", 1500)})
		if err != nil {
			fmt.Println("failed", appointment.CodeOf(err))
			return
		}
		fmt.Println("booked", v.ID)
	}
}

// startVictim gives a file with a thousand slots ahead and the command that books them.
func startVictim(t *testing.T) (path string, command func(env ...string) *exec.Cmd) {
	path = filepath.Join(t.TempDir(), "clinic.db")
	b, err := Open(Config{Path: path, Zone: time.UTC, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, b)
	for k := range 20 {
		if _, err := b.AddSlots("a", time.Now().AddDate(0, 1, k), 10, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return path, func(env ...string) *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = append(append(os.Environ(), "BOOK_VICTIM="+path), env...)
		return c
	}
}

// booked holds that each booking that was told of is there, once.
func booked(t *testing.T, path string, told []string) {
	t.Helper()
	b, err := Open(Config{Path: path, Zone: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, id := range told {
		v, err := b.Appointment(id)
		if err != nil {
			t.Errorf("the booking %s is lost: %v", id, err)
			continue
		}
		if s, err := b.Slot(SlotID("a", v.Slot)); err != nil || s.Appointment != id {
			t.Errorf("%s has %+v, %v", id, s, err)
		}
	}
}

// TestKilled kills a clinic in the middle of its bookings, again and again.
func TestKilled(t *testing.T) {
	path, command := startVictim(t)
	var told []string
	for range 12 {
		c := command()
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		until := 1 + rand.IntN(20)
		for in := bufio.NewScanner(out); in.Scan(); {
			if id, ok := strings.CutPrefix(in.Text(), "booked "); ok {
				told = append(told, id)
			}
			if until--; until == 0 {
				_ = c.Process.Kill()
			}
		}
		_ = c.Wait()
	}
	if len(told) < 12 {
		t.Fatalf("only %d bookings", len(told))
	}
	booked(t, path, told)
	t.Logf("%d bookings survived 12 kills", len(told))
}

// TestDiskFull: a disk that takes no more gets the store's code, and what was booked stays.
func TestDiskFull(t *testing.T) {
	path, command := startVictim(t)
	out, err := command("BOOK_LIMIT=1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; last != "failed "+string(appointment.CodeStoreFailed) {
		t.Fatalf("the last line is %q", last)
	}
	var told []string
	for _, l := range lines[:len(lines)-1] {
		told = append(told, strings.TrimPrefix(l, "booked "))
	}
	booked(t, path, told)
}
