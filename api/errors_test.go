package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// tritonStatus is the map of Triton's error kinds to statuses, of which each row of the table must follow one, except for
// codes that only HTTP has.
var tritonStatus = map[int][]codes.Code{
	400: {codes.AlreadyExists, codes.InvalidArgument, codes.Canceled},
	403: {codes.PermissionDenied},
	404: {codes.NotFound, codes.Unimplemented},
	405: {codes.Unimplemented},
	409: {codes.FailedPrecondition}, // Triton has no such kind
	412: {codes.FailedPrecondition}, // nor this one
	422: {codes.FailedPrecondition}, // nor this one
	416: {codes.OutOfRange},         // of downloads, which only HTTP has
	500: {codes.Internal},
	501: {codes.Unimplemented},
	503: {codes.Unavailable},
	507: {codes.ResourceExhausted}, // the disk's, not a request's
}

func TestTable(t *testing.T) {
	for _, row := range Table() {
		if got := row.Code.Info(); got != row {
			t.Errorf("%s: Info() gives %+v", row.Code, got)
		}
		ok := false
		for _, c := range tritonStatus[row.HTTP] {
			ok = ok || c == row.GRPC
		}
		if !ok {
			t.Errorf("%s: HTTP %d with gRPC %s", row.Code, row.HTTP, row.GRPC)
		}
		if row.Retryable && row.HTTP < 500 && row.Code != CodeCancelled {
			t.Errorf("%s: a client's mistake can't be retryable", row.Code)
		}
	}
	if Code("of_the_future").Info().HTTP != 500 || Code("of_the_future").Known() {
		t.Error("an unknown code must look like internal")
	}
}

func TestErrorChain(t *testing.T) {
	cause := errors.New("open /secret/path: no such file")
	inner := Wrap(CodeModelTruncated, cause, "model %q ends too early", "m")
	outer := fmt.Errorf("loading /secret/path: %w", inner)

	if got := CodeOf(outer); got != CodeModelTruncated {
		t.Errorf("CodeOf: %s", got)
	}
	if got := Message(outer); got != `model "m" ends too early` {
		t.Errorf("Message: %q", got)
	}
	if got := inner.Error(); got != `model "m" ends too early: open /secret/path: no such file` {
		t.Errorf("Error: %q", got)
	}
	if !errors.Is(outer, cause) || !errors.Is(outer, Errorf(CodeModelTruncated, "")) || errors.Is(outer, Errorf(CodeInternal, "")) {
		t.Error("errors.Is does not follow the chain")
	}

	sentence := Errorf(CodeInternal, "a and %w", cause)
	if sentence.Error() != "a and "+cause.Error() || !errors.Is(sentence, cause) {
		t.Errorf("Errorf with %%w: %q", sentence.Error())
	}
	both := Errorf(CodeInternal, "%w, %w", cause, context.Canceled)
	if !errors.Is(both, cause) || !errors.Is(both, context.Canceled) || CodeOf(both) != CodeInternal {
		t.Error("Errorf with two causes loses one")
	}
	if d := RetryAfter(fmt.Errorf("x: %w", sentence.WithRetryAfter(time.Second))); d != time.Second || RetryAfter(sentence) != 0 {
		t.Errorf("RetryAfter: %v", d)
	}
}

func TestErrorsWithoutCode(t *testing.T) {
	f := func(err error, code Code, text string) {
		t.Helper()
		if CodeOf(err) != code || Message(err) != text {
			t.Errorf("%v: got %s %q", err, CodeOf(err), Message(err))
		}
	}
	f(fmt.Errorf("x: %w", context.Canceled), CodeCancelled, "Request cancelled")
	f(context.DeadlineExceeded, CodeRequestTimeout, "Request timeout expired")
	f(errors.New("dial 10.0.0.1"), CodeInternal, "internal error")
	if CodeOf(nil) != "" {
		t.Error("nil has a code")
	}
}

func TestAppendErrorBody(t *testing.T) {
	err := Errorf(CodeQueueFull, "Exceeds \"maximum\" queue size\n\x01\xff")
	body := AppendErrorBody(nil, err, RequestPrefix(""), "a\\b")
	var got map[string]any
	if e := json.Unmarshal(body, &got); e != nil {
		t.Fatalf("%s: %v", body, e)
	}
	want := map[string]any{
		"error": "[request id: <id_unknown>] Exceeds \"maximum\" queue size\n\x01\uFFFD",
		"code":  "queue_full", "request_id": "a\\b", "retryable": true,
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: got %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("fields: %s", body)
	}
}

func TestAppendTable(t *testing.T) {
	var got struct {
		Errors []struct {
			Code, GRPC, Meaning, Action string
			HTTP                        int
			Retryable                   bool
		}
	}
	if err := json.Unmarshal(AppendTable(nil), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Errors) != len(Table()) {
		t.Fatalf("%d rows, want %d", len(got.Errors), len(Table()))
	}
	for i, row := range Table() {
		g := got.Errors[i]
		if g.Code != string(row.Code) || g.HTTP != row.HTTP || g.GRPC == "" || g.Retryable != row.Retryable ||
			g.Meaning != row.Meaning || g.Action != row.Action {
			t.Errorf("row %d: %+v", i, g)
		}
	}
}

func FuzzAppendJSONEscaped(f *testing.F) {
	f.Add("plain")
	f.Add("\"\\\n\r\t\x00\x1f\x7f é \xff\xc3 \uFFFD \U0001F600 \xed\xa0\x80")
	f.Fuzz(func(t *testing.T, s string) {
		text := append(AppendJSONEscaped([]byte{'"'}, s), '"')
		var got, want string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, r := range s {
			want += string(r)
		}
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if b := AppendJSONEscaped(nil, []byte(s)); string(b) != string(text[1:len(text)-1]) {
			t.Fatal("string and bytes differ")
		}
	})
}
