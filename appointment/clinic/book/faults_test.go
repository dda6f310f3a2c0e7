package book

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/aimass/aimass/appointment"
	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

// interleavings of steps that TestInterleavings plays.
const interleavings = 10_000

var errInjected = errors.New("injected")

// world is a clinic under test and what its callers have been told.
type world struct {
	*Book
	h *hands
	// told holds what each caller was told last of an appointment, id → state.
	told map[string]Status
	n    int       // keys given
	from time.Time // the morning that this interleaving plays on
}

// dump is the whole file but for the marks of the last transaction and the time.
func (w *world) dump(t *rapid.T) map[string]string {
	out := map[string]string{}
	err := w.db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if key := string(name) + "/" + string(k); key != "meta/last" && key != "meta/seen" {
					out[key] = string(v)
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// do runs one step of somebody, perhaps with a failing store, and holds that an error has
// changed nothing.
func (w *world) do(t *rapid.T, f func() (Appointment, error)) {
	countdown := rapid.IntRange(-12, 7).Draw(t, "fault") // which of the step's writes fails, if any
	late := rapid.IntRange(0, 9).Draw(t, "late") == 0    // the commit reaches the file and reports an error
	w.fault = func(step string) error {
		if countdown--; countdown == -1 || step == "committed" && late {
			return errInjected
		}
		return nil
	}
	before := w.dump(t)
	v, err := f()
	w.fault = nil
	if err != nil {
		if appointment.CodeOf(err) == "" {
			t.Fatalf("an error without a code: %v", err)
		}
		if after := w.dump(t); !maps.Equal(before, after) {
			t.Fatalf("%v, but the file has changed", err)
		}
		return
	}
	if was, ok := w.told[v.ID]; ok && was != v.Status && !was.mayBecome(v.Status) && !(was == Proposed && v.Status == Booked) {
		t.Fatalf("%s went from %s to %s", v.ID, was, v.Status)
	}
	w.told[v.ID] = v.Status
}

// check holds what must always be so: a slot and its appointment name each other, no slot
// has two, and nothing that somebody was told of is lost.
func (w *world) check(t *rapid.T) {
	taken := map[string]string{}
	err := w.view(func(tx *txn) error {
		slots, err := tx.slots("", w.from, w.from.Add(24*time.Hour))
		if err != nil {
			return err
		}
		for _, s := range slots {
			if (s.Status == Free) != (s.Appointment == "") {
				t.Fatalf("slot %+v", s)
			}
			if s.Appointment == "" {
				continue
			}
			if o := taken[s.Appointment]; o != "" {
				t.Fatalf("%s has the slots %s and %s", s.Appointment, o, s.ID())
			}
			taken[s.Appointment] = s.ID()
			v, err := tx.appointment(s.Appointment)
			if err != nil || !v.Slot.Equal(s.Start) || v.Doctor != s.Doctor || v.Status == Cancelled || (s.Status == BusyTentative) != (v.Status == Proposed) {
				t.Fatalf("slot %+v has %+v, %v", s, v, err)
			}
		}
		for id, told := range w.told {
			v, err := tx.appointment(id)
			if err != nil {
				t.Fatalf("the booking %s is lost: %v", id, err)
			}
			expired := told == Proposed && v.Status == Cancelled && !v.Updated.Before(v.Hold)
			if v.Status != told && !expired {
				t.Fatalf("%s was told to be %s and is %s", id, told, v.Status)
			}
			if v.Status != Cancelled && taken[id] == "" {
				t.Fatalf("%+v has no slot", v)
			}
			audit := 0
			if err := tx.Bucket(bucketAudit).ForEach(func(_, raw []byte) error {
				if strings.Contains(string(raw), id) {
					audit++
				}
				return nil
			}); err != nil || audit != v.Version {
				t.Fatalf("%d audit entries for version %d, %v", audit, v.Version, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// pick draws one of the appointments that somebody knows of.
func (w *world) pick(t *rapid.T) string {
	ids := []string{"none"}
	for id := range w.told {
		ids = append(ids, id)
	}
	// The order of a map is not the draw's: sort by what does not change.
	sortByCreation(w, ids)
	return rapid.SampledFrom(ids).Draw(t, "which")
}

func sortByCreation(w *world, ids []string) {
	key := map[string]string{}
	for _, id := range ids {
		if v, err := w.Appointment(id); err == nil {
			key[id] = v.Created.Format(time.RFC3339Nano) + v.Patient + v.Slot.Format(time.RFC3339)
		}
	}
	for i := range ids {
		for j := i; j > 0 && key[ids[j]] < key[ids[j-1]]; j-- {
			ids[j], ids[j-1] = ids[j-1], ids[j]
		}
	}
}

// play is one interleaving: patients who hold, book, cancel and move, a doctor who answers,
// time that passes and jumps, a store that fails, answers that are lost.
func (w *world) play(t *rapid.T) {
	w.told = map[string]Status{}
	start := func() time.Time {
		return w.from.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "slot")) * 10 * time.Minute)
	}
	patient := func() string { return rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "patient") }
	for range rapid.IntRange(3, 8).Draw(t, "steps") {
		switch rapid.IntRange(0, 9).Draw(t, "step") {
		case 0, 1:
			p := patient()
			w.do(t, func() (Appointment, error) {
				return w.Hold(p, Ask{Patient: p, Doctor: "a", Start: start(), Urgency: 1})
			})
		case 2, 3: // with a key; the answer is lost and the ask is sent again
			p := patient()
			w.n++
			a := Ask{Patient: p, Doctor: "a", Start: start(), Urgency: 1, Key: fmt.Sprint(w.n)}
			var first Appointment
			w.do(t, func() (v Appointment, err error) {
				if v, err = w.BookNow(p, a); err == nil {
					first = v
				}
				return v, err
			})
			w.do(t, func() (Appointment, error) {
				v, err := w.BookNow(p, a)
				if first.ID != "" && v.ID != first.ID && appointment.CodeOf(err) != appointment.CodeStoreFailed {
					t.Fatalf("asked twice by one key: %s, then %s and %v", first.ID, v.ID, err)
				}
				return v, err
			})
		case 4:
			id := w.pick(t)
			w.do(t, func() (Appointment, error) { return w.Book.Book("p", id) })
		case 5:
			id := w.pick(t)
			w.do(t, func() (Appointment, error) { return w.Approve("a", id, 0) })
		case 6:
			id := w.pick(t)
			w.do(t, func() (Appointment, error) { return w.Cancel("p", id, 0, "no") })
		case 7:
			id := w.pick(t)
			to := start()
			w.do(t, func() (Appointment, error) { return w.Reschedule("p", id, 0, to) })
		case 8:
			w.h.pass(time.Duration(rapid.SampledFrom([]int{20, 200, 301}).Draw(t, "seconds")) * time.Second)
			if _, err := w.ExpireHolds(); err != nil && appointment.CodeOf(err) != appointment.CodeClockJump {
				t.Fatal(err)
			}
		case 9:
			if rapid.Bool().Draw(t, "jump") {
				w.h.set(time.Duration(rapid.SampledFrom([]int{-400, 90}).Draw(t, "by")) * time.Second)
				break
			}
			w.reopen(t)
		}
		w.check(t)
	}
	w.h.pass(2 * Settle)
}

// reopen closes the file and opens it again, as after a crash between two steps.
func (w *world) reopen(t interface{ Fatal(...any) }) {
	c := w.c
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.Book, err = Open(c); err != nil {
		t.Fatal(err)
	}
}

// newWorld is a clinic whose doctor has three slots on each day for years.
func newWorld(t *testing.T) *world {
	h := &hands{wall: at(t, "2026-03-02T07:00:00Z")}
	b, err := Open(Config{Path: filepath.Join(t.TempDir(), "clinic.db"), Zone: time.UTC, Clock: newClock(h.read), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Book: b, h: h}
	t.Cleanup(func() { _ = w.Close() })
	fill(t, b)
	return w
}

// TestInterleavings plays ten thousand random interleavings with injected faults and holds
// after each step that there is no double booking and no lost one, and that a step which
// failed has changed nothing.
func TestInterleavings(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	was := checks.Value.String()
	if err := checks.Value.Set(strconv.Itoa(interleavings)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(was) })
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		w.fresh(t)
		w.nextMorning(t)
		w.play(t)
	})
}

// fresh empties the clinic, so that looking at all of it stays cheap.
func (w *world) fresh(t *rapid.T) {
	err := w.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketSlots, bucketVisits, bucketOf, bucketKeys, bucketHolds, bucketAudit} {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nextMorning goes to three free slots that nobody has used.
func (w *world) nextMorning(t *rapid.T) {
	w.h.pass(24 * time.Hour)
	now, err := w.c.Clock.Now()
	if err != nil {
		w.h.pass(2 * Settle)
		if now, err = w.c.Clock.Now(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.ExpireHolds(); err != nil {
		t.Fatal(err)
	}
	w.from = now.Add(6 * time.Hour).Truncate(time.Minute)
	if _, err := w.AddSlots("a", w.from, 10, 3); err != nil {
		t.Fatal(err)
	}
}
