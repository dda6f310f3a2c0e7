package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
)

func TestDone(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, Config{Format: "json"})
	f := func(err error, level, code string) {
		t.Helper()
		out.Reset()
		l.Done(&Request{Protocol: "http", Call: "POST /v2/models/m/infer", Client: "c", ID: "7", Model: "m", Version: "1", Status: 400,
			In: 1, Out: 2, Took: time.Second, Err: err})
		if level == "" {
			if out.Len() > 0 {
				t.Errorf("%v: logged %s", err, out.String())
			}
			return
		}
		var line map[string]any
		if e := json.Unmarshal(out.Bytes(), &line); e != nil {
			t.Fatalf("%q: %v", out.String(), e)
		}
		if line["level"] != level || line["code"] != code || line["request_id"] != "7" || line["model"] != "m" {
			t.Errorf("%v: logged %s", err, out.String())
		}
	}
	secret := errors.New("open /a/b: gone")
	f(nil, "", "")
	f(api.Errorf(api.CodeShapeMismatch, "x"), "WARN", "shape_mismatch")
	f(api.Errorf(api.CodeQueueFull, "x"), "WARN", "queue_full")
	f(api.Wrap(api.CodeExecutionFailed, secret, "x"), "ERROR", "execution_failed")
	if !strings.Contains(out.String(), "/a/b") {
		t.Error("the cause is not in the log")
	}
	f(secret, "ERROR", "internal")

	l.Set(Settings{Info: true, Warning: false, Error: true, Verbose: 2})
	f(api.Errorf(api.CodeShapeMismatch, "x"), "", "")
	f(secret, "ERROR", "internal")
	if got := l.Settings(); got != (Settings{true, false, true, 2}) {
		t.Errorf("settings %+v", got)
	}
	l.Set(Settings{})
	f(secret, "", "")

	l = New(&out, Config{Access: true})
	out.Reset()
	l.Done(&Request{Protocol: "grpc", Call: "ModelInfer"})
	if !strings.Contains(out.String(), "level=INFO") || !l.WantsAccess() {
		t.Errorf("access log: %q", out.String())
	}
}

func TestConfig(t *testing.T) {
	if (Config{Format: "xml"}).Validate() == nil || (Config{Verbose: -1}).Validate() == nil || (Config{Format: "json"}).Validate() != nil {
		t.Error("Validate is wrong")
	}
}
