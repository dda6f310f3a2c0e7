package jobs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/train"
)

// TestLogThatIsFull: a program without end fills a job's log up to its bound, which is said once, and what the job ended with is
// its last line all the same.
func TestLogThatIsFull(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	told := &teller{out: f}
	line := strings.Repeat("x", 64<<10)
	for range 2 * mostLog / len(line) {
		told.tell(train.Event{Stage: "program", Message: line})
	}
	told.tell(train.Event{Stage: "failed", Message: "it ran too long"})
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	if len(b) > mostLog+1<<10 || bytes.Count(b, []byte("the log is full")) != 1 || !bytes.Contains(lines[len(lines)-1], []byte("it ran too long")) {
		t.Errorf("%d bytes, %d lines, the last is %.300s", len(b), len(lines), lines[len(lines)-1])
	}
}
