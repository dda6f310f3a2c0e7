package release

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"

	"github.com/aimass/aimass/api"
	_ "github.com/aimass/aimass/internal/rapidseed"
)

func TestLife(t *testing.T) {
	s, err := Decode(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := Event{Time: time.Unix(1, 0).UTC(), RequestID: "r"}
	s.Pin(1, e)
	s.Pin(2, e) // already pinned
	s.Push(2, e)
	if err := s.SetCanary(2, 10, e); err != nil {
		t.Fatal(err)
	}
	if err := s.SetAlias("best", 1, e); err != nil {
		t.Fatal(err)
	}
	if n := s.Names(); n[Stable] != 1 || n[Canary] != 2 || n["best"] != 1 {
		t.Error(n)
	}
	// A rollback while a canary serves ends the canary alone.
	if err := s.Rollback(e); err != nil || s.Canary != nil || s.Stable != 1 {
		t.Errorf("%v %+v", err, s)
	}
	if err := s.SetCanary(2, 50, e); err != nil {
		t.Fatal(err)
	}
	s.Promote(2, e)
	s.Promote(3, e)
	if s.Stable != 3 || s.Canary != nil || !slices.Equal(s.Past, []int64{1, 2}) || !slices.Equal(s.Versions(), []int64{1, 2, 3}) {
		t.Errorf("%+v", s)
	}
	for _, want := range []int64{2, 1} {
		if err := s.Rollback(e); err != nil || s.Stable != want {
			t.Errorf("%v, stable %d", err, s.Stable)
		}
	}
	if err := s.Rollback(e); api.CodeOf(err) != api.CodeRollbackImpossible {
		t.Error(err)
	}
	for i, h := range s.History {
		if h.Seq != int64(i+1) || h.Action == "" || h.RequestID != "r" {
			t.Errorf("%+v", h)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := &State{Format: format}
	f := func(err error, code api.Code) {
		t.Helper()
		if api.CodeOf(err) != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	f(s.SetCanary(1, 5, Event{}), api.CodeReleaseInvalid) // nothing is stable
	s.Promote(1, Event{})
	f(s.SetCanary(1, 5, Event{}), api.CodeReleaseInvalid)
	for _, p := range []float64{-1, 101, math.NaN(), math.Inf(1)} {
		f(s.SetCanary(2, p, Event{}), api.CodeReleaseInvalid)
		f(s.SetShadow(2, p, 0, Event{}), api.CodeReleaseInvalid)
	}
	f(s.SetShadow(2, 5, math.NaN(), Event{}), api.CodeReleaseInvalid)
	f(s.SetShadow(1, 5, 0, Event{}), api.CodeReleaseInvalid)
	for _, name := range []string{"", "7", "1a", "a/b", "a.b", "stable", "canary", "previous", "ä", string(make([]byte, 65))} {
		f(s.SetAlias(name, 1, Event{}), api.CodeAliasInvalid)
	}
	f(s.SetAlias("gone", 0, Event{}), api.CodeAliasNotFound)
}

// TestAnyOrder: whatever is done in whatever order leaves a State that can be stored, and
// read again unchanged.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &State{Format: format}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			v := rapid.Int64Range(1, 5).Draw(t, "version")
			p := rapid.Float64Range(0, 100).Draw(t, "percent")
			e := Event{Time: time.Unix(v, 0).UTC()}
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				s.Promote(v, e)
			case 1:
				_ = s.Rollback(e)
			case 2:
				_ = s.SetCanary(v, p, e)
			case 3:
				_ = s.SetShadow(v, p, 0.1, e)
			case 4:
				_ = s.SetAlias(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "alias"), v-1, e)
			case 5:
				s.Push(v, e)
			case 6:
				s.Pin(v, e)
			}
			if s.Canary != nil && s.Canary.Version == s.Stable {
				t.Fatalf("the canary is stable: %+v", s)
			}
		}
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		again, _ := back.Encode()
		if string(again) != string(b) || !reflect.DeepEqual(back.Versions(), s.Clone().Versions()) {
			t.Fatalf("%s\n%s", b, again)
		}
	})
}

func FuzzDecode(f *testing.F) {
	s := &State{Format: format}
	s.Promote(1, Event{})
	_ = s.SetCanary(2, 5, Event{})
	_ = s.SetAlias("a", 1, Event{})
	b, _ := s.Encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			if api.CodeOf(err) != api.CodeReleaseStateInvalid {
				t.Fatal(err)
			}
			return
		}
		for _, v := range s.Versions() {
			if v <= 0 {
				t.Fatal(v)
			}
		}
	})
}
