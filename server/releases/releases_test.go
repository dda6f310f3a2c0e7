package releases

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/store"
)

var ctx = context.Background()

// TestLife: push, canary, promote, roll back; what answers at each step, and after a restart.
func TestLife(t *testing.T) {
	h := newHouse(t, t.TempDir())
	if u := h.push(t, 1, 1); !u.Complete || u.State != "READY" || u.Config != "none" {
		t.Errorf("%+v", u)
	}
	h.push(t, 2, 2)
	if w := h.ask(t, ""); w != 1 {
		t.Errorf("a push changed what serves to %v", w)
	}
	if w := h.ask(t, "2"); w != 2 {
		t.Errorf("version 2 answers %v", w)
	}
	if _, err := h.SetCanary(ctx, "scale", "2", 25, By{"c"}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range 1000 {
		if h.ask(t, "") == 2 {
			n++
		}
	}
	if n < 249 || n > 251 {
		t.Errorf("the canary got %d of 1000 requests, want 250", n)
	}
	if w := h.ask(t, "canary"); w != 2 {
		t.Error(w)
	}
	p, err := h.Promote(ctx, "scale", Promotion{}, By{"p"})
	if err != nil || p.Stable != 2 || p.Previous != 1 || p.Canary != nil {
		t.Fatalf("%+v %v", p, err)
	}
	if w := h.ask(t, ""); w != 2 {
		t.Error(w)
	}
	if _, err := h.SetAlias(ctx, "scale", "best", "1", By{}); err != nil {
		t.Fatal(err)
	}
	again := newHouse(t, h.dir)
	if a, b, c := again.ask(t, ""), again.ask(t, "best"), again.ask(t, "previous"); a != 2 || b != 1 || c != 1 {
		t.Errorf("after a restart: stable %v, best %v, previous %v", a, b, c)
	}
	if _, err := h.Rollback(ctx, "scale", By{"r"}); err != nil || h.ask(t, "") != 1 {
		t.Errorf("rolled back: %v", err)
	}
	_, err = h.Rollback(ctx, "scale", By{})
	want(t, err, api.CodeRollbackImpossible)
	list, err := h.History("scale", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Action+":"+e.RequestID)
	}
	if s := strings.Join(got, " "); s != "rollback:r alias: promote:p canary:c push:push-2 pin:push-1 push:push-1" {
		t.Error(s)
	}
	_, err = h.Promote(ctx, "scale", Promotion{}, By{})
	if want(t, err, api.CodeVersionInvalid); err == nil || !strings.Contains(err.Error(), "no canary") {
		t.Errorf("promoting no version: %v", err)
	}
}

// TestOtherProcess: a server on the same folder follows what another decides.
func TestOtherProcess(t *testing.T) {
	dir := t.TempDir()
	a := newHouse(t, dir)
	a.push(t, 1, 1)
	b := newHouse(t, dir)
	a.push(t, 2, 2)
	if _, err := a.Promote(ctx, "scale", Promotion{Version: "2"}, By{}); err != nil {
		t.Fatal(err)
	}
	if w := b.ask(t, ""); w != 1 {
		t.Errorf("before it looks: %v", w)
	}
	if err := b.repo.Refresh(ctx, "scale", 0); err != nil || b.ask(t, "") != 2 {
		t.Errorf("%v, %v", err, b.ask(t, ""))
	}
	// What it decides itself rests on what the other did.
	if s, err := b.Rollback(ctx, "scale", By{}); err != nil || s.Stable != 1 {
		t.Errorf("%+v %v", s, err)
	}
}

// TestDropIn: a model whose versions never came as bundles is as before: the newest
// serves; promoting an older one is remembered.
func TestDropIn(t *testing.T) {
	dir := t.TempDir()
	for v, w := range map[string]float32{"1": 1, "2": 2} {
		if err := os.MkdirAll(filepath.Join(dir, "scale", v), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "scale", v, "model.onnx"), scale(t, w), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t, dir)
	if w := h.ask(t, ""); w != 2 {
		t.Error(w)
	}
	if _, err := os.Stat(filepath.Join(dir, store.Folder)); err == nil {
		t.Error("serving alone wrote to the repository")
	}
	if p, err := h.Promote(ctx, "scale", Promotion{Version: "1"}, By{}); err != nil || p.Previous != 2 || h.ask(t, "") != 1 {
		t.Errorf("%+v %v", p, err)
	}
	if s, err := h.Rollback(ctx, "scale", By{}); err != nil || s.Stable != 2 || h.ask(t, "") != 2 {
		t.Errorf("%+v %v", s, err)
	}
}

// TestPieces: an upload breaks off anywhere and goes on; nothing appears before the end.
func TestPieces(t *testing.T) {
	h := newHouse(t, t.TempDir())
	b, sha := pack(t, map[string]string{"model.onnx": string(scale(t, 3)), "weights.bin": strings.Repeat("x", 1000)})
	size := int64(len(b))
	at := int64(0)
	put := func(offset int64, body io.Reader, n int64) (*Uploaded, error) {
		return h.Upload(ctx, "scale", 1, store.Piece{Offset: offset, Length: n, Size: size, SHA256: sha}, body, true, By{})
	}
	for at < size-10 {
		n := min(100, size-10-at)
		// The client promises more than it sends before the line breaks.
		_, err := put(at, io.MultiReader(bytes.NewReader(b[at:at+n]), iotest.ErrReader(errors.New("broken"))), size-at)
		want(t, err, api.CodeMalformedRequest)
		u, err := h.Progress("scale", 1)
		if err != nil || u.Offset != at+n || u.Complete {
			t.Fatalf("%+v %v", u, err)
		}
		if _, err := os.Stat(filepath.Join(h.dir, "scale")); err == nil {
			t.Fatal("a half upload is a model")
		}
		at += n
	}
	_, err := put(at-1, bytes.NewReader(b[at-1:]), size-at+1)
	want(t, err, api.CodeUploadOffsetMismatch)
	_, err = put(at, strings.NewReader(strings.Repeat("y", 100)), -1)
	want(t, err, api.CodeUploadOffsetMismatch)
	u, err := put(at, bytes.NewReader(b[at:]), size-at)
	if err != nil || !u.Complete || u.SHA256 != sha || h.ask(t, "") != 3 {
		t.Fatalf("%+v %v", u, err)
	}
	// The answer was lost: the same bundle again is no error, another one is.
	if u, err = put(at, bytes.NewReader(b[at:]), size-at); err != nil || !u.Complete {
		t.Errorf("%+v %v", u, err)
	}
	if u, err = h.Upload(ctx, "scale", 1, whole(b), bytes.NewReader(b), true, By{}); err != nil || !u.Complete || u.Offset != size || u.SHA256 != sha || u.State != "READY" {
		t.Errorf("the same bytes without a digest: %+v %v", u, err)
	}
	other := slices.Clone(b)
	other[size/2]++
	_, err = h.Upload(ctx, "scale", 1, whole(other), bytes.NewReader(other), true, By{})
	want(t, err, api.CodeVersionExists)
	_, err = h.Progress("scale", 1)
	want(t, err, api.CodeUploadNotFound)
}

// TestRefused: what is no good version leaves nothing behind.
func TestRefused(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.push(t, 1, 1)
	good, sha := pack(t, map[string]string{"model.onnx": string(scale(t, 3))})
	f := func(what string, b []byte, sha string, code api.Code) {
		t.Helper()
		p := whole(b)
		p.SHA256 = sha
		_, err := h.Upload(ctx, "scale", 9, p, bytes.NewReader(b), true, By{})
		if api.CodeOf(err) != code {
			t.Errorf("%s: %q %v, want %q", what, api.CodeOf(err), err, code)
		}
		_, err = h.Progress("scale", 9)
		want(t, err, api.CodeUploadNotFound)
		if _, err := os.Stat(filepath.Join(h.dir, "scale", "9")); err == nil {
			t.Errorf("%s: the version is there", what)
		}
		if left, _ := filepath.Glob(filepath.Join(h.dir, store.Folder, "staging", "*")); len(left) > 0 {
			t.Errorf("%s left %v", what, left)
		}
	}
	f("nothing", nil, "", api.CodeBundleIncomplete)
	f("noise", []byte("hello"), "", api.CodeBundleInvalid)
	f("cut", good[:len(good)-20], "", api.CodeBundleIncomplete)
	f("another hash", good, strings.Repeat("0", 64), api.CodeBundleHashMismatch)
	b, _ := pack(t, map[string]string{"readme.txt": "no model"})
	f("no model", b, "", api.CodeBundleIncomplete)
	b, _ = pack(t, map[string]string{"model.onnx": "no ONNX"})
	f("no ONNX", b, "", api.CodeModelInvalid)
	b, _ = pack(t, map[string]string{"model.onnx": string(scale(t, 1)[:60])})
	f("half a model", b, "", api.CodeModelTruncated)
	for _, name := range []string{"", ".x", "a/b", "..", "a@1"} {
		_, err := h.Upload(ctx, name, 1, whole(good), bytes.NewReader(good), true, By{})
		want(t, err, api.CodeModelNameInvalid)
	}
	_, err := h.Upload(ctx, "scale", 0, whole(good), bytes.NewReader(good), true, By{})
	want(t, err, api.CodeVersionInvalid)
	if u, err := h.Upload(ctx, "scale", 9, store.Piece{Length: int64(len(good)), Size: -1, SHA256: sha}, bytes.NewReader(good), false, By{}); err != nil || !u.Complete || u.State == "READY" {
		t.Errorf("of unknown size, not loaded: %+v %v", u, err)
	}
	for _, bad := range []string{"nix", "", "7", "-1"} {
		_, err := h.SetCanary(ctx, "scale", bad, 5, By{})
		if c := api.CodeOf(err); c != api.CodeVersionInvalid && c != api.CodeModelVersionNotFound {
			t.Errorf("canary %q: %v", bad, err)
		}
	}
	_, err = h.Status("none")
	want(t, err, api.CodeModelNotFound)
}

// TestConfigKept: an operator's configuration is not changed by a push.
func TestConfigKept(t *testing.T) {
	h := newHouse(t, t.TempDir())
	one, _ := pack(t, map[string]string{"model.onnx": string(scale(t, 1)), "config.pbtxt": "max_batch_size: 8"})
	two, _ := pack(t, map[string]string{"model.onnx": string(scale(t, 2)), "config.pbtxt": "max_batch_size: 16"})
	u, err := h.Upload(ctx, "scale", 1, whole(one), bytes.NewReader(one), true, By{})
	if err != nil || u.Config != "new" {
		t.Fatalf("%+v %v", u, err)
	}
	if u, err = h.Upload(ctx, "scale", 2, whole(two), bytes.NewReader(two), true, By{}); err != nil || u.Config != "kept" {
		t.Fatalf("%+v %v", u, err)
	}
	bare, _ := pack(t, map[string]string{"model.onnx": string(scale(t, 3))})
	if u, err = h.Upload(ctx, "scale", 3, whole(bare), bytes.NewReader(bare), true, By{}); err != nil || u.Config != "none" {
		t.Errorf("a bundle without a configuration is not told that its differs: %+v %v", u, err)
	}
	if b, err := os.ReadFile(filepath.Join(h.dir, "scale", "config.pbtxt")); err != nil || string(b) != "max_batch_size: 8" {
		t.Errorf("%q %v", b, err)
	}
}

// TestOtherName: a bundle may go under another name than its configuration says.
func TestOtherName(t *testing.T) {
	h := newHouse(t, t.TempDir())
	b, _ := pack(t, map[string]string{"model.onnx": string(scale(t, 1)), "config.pbtxt": "name: \"scale\"\nmax_batch_size: 8\n"})
	if u, err := h.Upload(ctx, "other", 1, whole(b), bytes.NewReader(b), true, By{}); err != nil || u.State != "READY" {
		t.Fatalf("%+v %v", u, err)
	}
	if b, err := os.ReadFile(filepath.Join(h.dir, "other", "config.pbtxt")); err != nil || string(b) != "name: \"other\"\nmax_batch_size: 8\n" {
		t.Errorf("%q %v", b, err)
	}
}

func TestDownload(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.push(t, 1, 1)
	first, n, err := h.Download("scale", "stable")
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	defer first.Close()
	b, err := io.ReadAll(first)
	if err != nil || int64(len(b)) != first.Size {
		t.Fatal(len(b), err)
	}
	// What is downloaded can be pushed elsewhere, and has the hash of what was pushed here.
	if s, _ := h.Status("scale"); s.Versions[0].SHA256 != first.SHA256 {
		t.Errorf("pushed %s, pulled %s", s.Versions[0].SHA256, first.SHA256)
	}
	other := newHouse(t, t.TempDir())
	if u, err := other.Upload(ctx, "scale", 4, whole(b), bytes.NewReader(b), true, By{}); err != nil || u.SHA256 != first.SHA256 || other.ask(t, "") != 1 {
		t.Errorf("%+v %v", u, err)
	}
	second, _, err := h.Download("scale", "1")
	if err != nil || second.SHA256 != first.SHA256 {
		t.Errorf("%v", err)
	}
	second.Close()
	_, _, err = h.Download("scale", "2")
	want(t, err, api.CodeModelVersionNotFound)
	_, _, err = h.Download("none", "1")
	want(t, err, api.CodeModelNotFound)
}

// holdout is y = x for rows 0 … n−1.
func holdout(n int, margin float64) *Gate {
	g := &Gate{Metric: "mae", Margin: &margin}
	data := make([]float64, n)
	for i := range data {
		data[i] = float64(i%10) / 10
		g.Labels = append(g.Labels, data[i])
	}
	g.Inputs, _ = json.Marshal([]map[string]any{{"name": "x", "datatype": "FP32", "shape": []int{n, 1}, "data": data}})
	return g
}

// TestGate: better passes, worse does not, and what can't be measured says why.
func TestGate(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.push(t, 1, 1.1)
	h.push(t, 2, 1.05) // nearer to the truth
	h.push(t, 3, 1.3)  // farther
	h.push(t, 4, 1.1)  // the same
	promote := func(version string, g *Gate, code api.Code) *Promoted {
		t.Helper()
		p, err := h.Promote(ctx, "scale", Promotion{Version: version, Gate: g}, By{})
		want(t, err, code)
		return p
	}
	promote("3", holdout(500, 0), api.CodeGateFailed)
	if s, _ := h.Status("scale"); s.Stable != 1 {
		t.Errorf("a failed gate changed stable to %d", s.Stable)
	}
	if p := promote("4", holdout(500, 0), ""); p.Gate == nil || p.Gate.Better != 0 || !p.Gate.Passed {
		t.Errorf("%+v", p.Gate)
	}
	p := promote("2", holdout(500, 0), "")
	if g := p.Gate; g == nil || !(g.Low > 0) || !(g.Low < g.Better && g.Better < g.High) || g.Rows != 500 || g.StableVersion != 4 {
		t.Errorf("%+v", g)
	}
	promote("3", holdout(500, 1), "") // a margin that wide admits anything
	list, _ := h.History("scale", 0, 1)
	if len(list[0].Gate) == 0 || !strings.Contains(string(list[0].Gate), `"passed": true`) {
		t.Errorf("%+v", list[0])
	}
	bad := func(change func(g *Gate)) {
		t.Helper()
		g := holdout(500, 0)
		change(g)
		promote("1", g, api.CodeGateInvalid)
	}
	bad(func(g *Gate) { g.Metric = "beauty" })
	bad(func(g *Gate) { g.Labels = g.Labels[:499] })
	bad(func(g *Gate) { g.Inputs = json.RawMessage(`[]`) })
	bad(func(g *Gate) { g.Inputs = nil })
	bad(func(g *Gate) {
		g.Inputs = json.RawMessage(`[{"name":"x","datatype":"FP32","shape":[500,1],"data":[1]}]`)
	})
	bad(func(g *Gate) { g.Output = "z" })
	bad(func(g *Gate) { g.Metric = "auc" })
	bad(func(g *Gate) { g.Confidence = 2 })
	bad(func(g *Gate) { g.Rounds = 1 })
	bad(func(g *Gate) { *g.Margin = -1 })

	// The operator's own set holds for every promotion that brings none, unless forced.
	text, _ := json.Marshal(holdout(500, 0))
	if err := os.WriteFile(filepath.Join(h.dir, "scale", HoldoutName), text, 0o644); err != nil {
		t.Fatal(err)
	}
	promote("2", nil, "")
	promote("3", nil, api.CodeGateFailed)
	if p, err := h.Promote(ctx, "scale", Promotion{Version: "3", Force: true}, By{}); err != nil || p.Stable != 3 {
		t.Errorf("%+v %v", p, err)
	}
}

// TestShadow: copies are compared, and nothing of it reaches a caller.
func TestShadow(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.push(t, 1, 1)
	h.push(t, 2, 1.0005)
	h.push(t, 3, 2)
	mirror := func(version string) *ShadowStatus {
		t.Helper()
		if _, err := h.SetShadow(ctx, "scale", version, 50, 1e-3, By{}); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if w := h.ask(t, ""); w != 1 {
				t.Fatal(w)
			}
		}
		for range 1000 {
			if s, _ := h.Status("scale"); s.Shadow.Mirrored+s.Shadow.Dropped >= 49 {
				return s.Shadow
			}
			time.Sleep(time.Millisecond)
		}
		s, _ := h.Status("scale")
		return s.Shadow
	}
	if s := mirror("2"); s.Mirrored == 0 || s.Mirrored+s.Dropped > 51 || s.Differing != 0 || s.MaxDifference < 1e-4 || s.Failed != 0 {
		t.Errorf("within the tolerance: %+v", s)
	}
	if s := mirror("3"); s.Mirrored == 0 || s.Differing != s.Mirrored || s.MaxDifference != 1 {
		t.Errorf("beyond it: %+v", s)
	}
	if s, err := h.SetShadow(ctx, "scale", "", 0, 0, By{}); err != nil || s.Shadow != nil {
		t.Errorf("%+v %v", s, err)
	}
}

func TestDiff(t *testing.T) {
	h := newHouse(t, t.TempDir())
	card := func(auc, more string) string {
		return `{"model":"scale","metrics":[` + more + `{"name":"auc","set":"test","value":` + auc + `}],"limits":["a"]}`
	}
	for v, text := range map[int64]string{1: card("0.7", ""), 2: card("0.8", `{"name":"brier","set":"test","value":0.1},`)} {
		b, _ := pack(t, map[string]string{"model.onnx": string(scale(t, 1)), "model_card.json": text})
		if _, err := h.Upload(ctx, "scale", v, whole(b), bytes.NewReader(b), false, By{}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := h.Diff("scale", "1", "2")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(d.Card)
	if string(text) != `[{"path":"metrics[auc@test].value","from":0.7,"to":0.8},{"path":"metrics[brier@test].name","from":null,"to":"brier"},`+
		`{"path":"metrics[brier@test].set","from":null,"to":"test"},{"path":"metrics[brier@test].value","from":null,"to":0.1}]` {
		t.Errorf("%s", text)
	}
	if len(d.Files) != 1 || d.Files[0].Path != "version/model_card.json" {
		t.Errorf("%+v", d.Files)
	}
	if d, err = h.Diff("scale", "1", "1"); err != nil || len(d.Card)+len(d.Files) != 0 {
		t.Errorf("%+v %v", d, err)
	}
}
