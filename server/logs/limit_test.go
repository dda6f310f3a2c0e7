package logs

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimass/aimass/api"
)

// TestRefusalsUnderOverload: thousands of refusals a second have a few lines, which say how
// many had none; other errors have theirs all the same.
func TestRefusalsUnderOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := New(&b, Config{})
		full := &Request{Protocol: "http", Err: api.Errorf(api.CodeQueueFull, "full")}
		for range 1000 {
			l.Done(full)
		}
		l.Done(&Request{Protocol: "http", Err: api.Errorf(api.CodeInputMissing, "missing")})
		if n := strings.Count(b.String(), "code=queue_full"); n != refusalsLogged {
			t.Errorf("%d lines", n)
		}
		if !strings.Contains(b.String(), "code=input_missing") {
			t.Error("another error was not logged")
		}
		b.Reset()
		time.Sleep(time.Second)
		l.Done(full)
		if !strings.Contains(b.String(), "not_logged=980") {
			t.Errorf("got %s", b.String())
		}
	})
}
