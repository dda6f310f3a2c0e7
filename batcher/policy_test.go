package batcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

const msec = int64(time.Millisecond)

// testPolicy knows a model that takes 4 ms for one row and 1 ms for each further one.
func testPolicy(cfg Config) *Policy {
	lat := &Latency{}
	for range settled {
		for n := 1; n <= 64; n *= 2 {
			lat.Observe(0, 1, n, 4*msec+int64(n-1)*msec)
		}
	}
	return NewPolicy(cfg.WithDefaults(1), lat, nil)
}

func names(items []*Item) string {
	var out []string
	for _, it := range items {
		out = append(out, it.Owner.(string))
	}
	return strings.Join(out, " ")
}

func push(t *testing.T, p *Policy, name string, it Item) *Item {
	t.Helper()
	it.Owner, it.Rows = name, max(it.Rows, 1)
	if v, _ := p.Admit(&it, it.Arrived); v != Admitted {
		t.Fatalf("%s was refused: %d", name, v)
	}
	p.Push(&it)
	return &it
}

func TestOrderOfService(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		in   []Item
		rows int
		want string
	}{
		{"first come", Config{MaxRows: 3}, []Item{{}, {}, {}, {}}, 3, "0 1 2"},
		{"deadlines", Config{MaxRows: 3}, []Item{{Deadline: 900 * msec}, {}, {Deadline: 100 * msec}, {Deadline: 50 * msec}}, 3, "3 2 0"},
		{"levels", Config{MaxRows: 3, Levels: 3}, []Item{{Level: 3}, {Level: 1}, {}, {Level: 2}}, 3, "1 2 3"},
		{"tenants", Config{MaxRows: 4}, []Item{{Tenant: "a"}, {Tenant: "a"}, {Tenant: "a"}, {Tenant: "b"}, {Tenant: "b"}}, 4, "0 3 1 4"},
		{"rows", Config{MaxRows: 4}, []Item{{Tenant: "a", Rows: 3}, {Tenant: "a"}, {Tenant: "b"}}, 4, "0 2"},
		{"weights", Config{MaxRows: 4, Weight: func(tenant string) float64 { return float64(len(tenant)) }}, []Item{{Tenant: "a"}, {Tenant: "a"}, {Tenant: "bbb"},
			{Tenant: "bbb"}, {Tenant: "bbb"}}, 4, "0 2 3 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := testPolicy(c.cfg)
			for i, it := range c.in {
				push(t, p, fmt.Sprint(i), it)
			}
			got, late := p.Cut(0, nil, nil)
			if names(got) != c.want || len(late) != 0 {
				t.Errorf("got %q, late %q, want %q", names(got), names(late), c.want)
			}
		})
	}
}

func TestTheMostUrgentMemberCutsTheBatch(t *testing.T) {
	p := testPolicy(Config{MaxRows: 16})
	push(t, p, "urgent", Item{Deadline: 5 * msec})
	for i := range 8 {
		push(t, p, fmt.Sprint(i), Item{Deadline: 60 * msec})
	}
	// All nine would take 12 ms; alone the urgent one takes 4, and the rest make it afterwards.
	got, late := p.Cut(0, nil, nil)
	if len(got) > 2 || got[0].Owner != "urgent" || len(late) != 0 {
		t.Errorf("got %q, late %q", names(got), names(late))
	}
	slot := p.Begin(got[0], len(got), 0)
	p.End(slot)
	if rest, _ := p.Cut(5*msec, nil, nil); len(rest)+len(got) != 9 {
		t.Errorf("then %q", names(rest))
	}
}

func TestRefusals(t *testing.T) {
	p := testPolicy(Config{MaxRows: 8})
	if v, _ := p.Admit(&Item{Rows: 1, Deadline: 1}, 2); v != Unmeetable {
		t.Error("a deadline in the past was admitted")
	}
	slot := p.Begin(&Item{Rows: 1}, 8, 0) // ends at 11 ms
	it := Item{Rows: 1, Deadline: 14 * msec}
	if v, after := p.Admit(&it, msec); v != Unmeetable || after < msecs(1) || after > msecs(2) {
		t.Errorf("%d, retry after %v: the answer would come 1 ms late", v, after)
	}
	it.Deadline = 15*msec + 500
	if v, _ := p.Admit(&it, msec); v != Admitted {
		t.Error("one that makes it was refused")
	}
	p.Push(&it)
	// The next one waits for a batch of two: 11 + 5 ms.
	next := Item{Rows: 1, Deadline: 15*msec + 800, Arrived: msec}
	if v, _ := p.Admit(&next, msec); v != Unmeetable {
		t.Errorf("%d: it can't make it", v)
	}
	p.End(slot)
	// Nothing late is ever cut.
	if got, late := p.Cut(13*msec, nil, nil); len(got) != 0 || len(late) != 1 {
		t.Errorf("cut %d, late %d", len(got), len(late))
	}
}

func msecs(n int64) time.Duration { return time.Duration(n * msec) }

// TestAStaleEstimateHeals: a model that was slow once must not refuse for ever.
func TestAStaleEstimateHeals(t *testing.T) {
	lat := &Latency{}
	lat.Observe(0, 1, 1, 1000*msec)
	p := NewPolicy(Config{}.WithDefaults(1), lat, nil)
	refused, ran := 0, 0
	for now := 1000 * msec; now < 600000*msec; now += 100 * msec {
		it := &Item{Rows: 1, Bytes: 1, Arrived: now, Deadline: now + 50*msec}
		if v, _ := p.Admit(it, now); v != Admitted {
			refused++
			continue
		}
		s := p.Begin(it, 1, now)
		lat.Observe(0, 1, 1, 10*msec)
		p.End(s)
		ran++
	}
	if ran < 5000 || refused == 0 {
		t.Errorf("%d ran, %d were refused", ran, refused)
	}
}

func TestAGreedyTenantMakesRoom(t *testing.T) {
	p := testPolicy(Config{MaxQueue: 4})
	for i := range 4 {
		push(t, p, fmt.Sprint(i), Item{Tenant: "greedy"})
	}
	it := &Item{Rows: 1, Tenant: "quiet", Owner: "quiet"}
	if v, after := p.Admit(it, 0); v != Full || after <= 0 {
		t.Fatalf("verdict %d, retry after %v", v, after)
	}
	if victim := p.Evict(it); victim == nil || victim.Owner != "3" {
		t.Fatalf("victim %v", victim)
	}
	p.Push(it)
	if victim := p.Evict(&Item{Rows: 1, Tenant: "greedy"}); victim != nil {
		t.Errorf("the greedy tenant pushed out %v", victim.Owner)
	}
}

func TestDelayEndsForADeadline(t *testing.T) {
	p := testPolicy(Config{Delay: time.Second, MaxRows: 8})
	push(t, p, "a", Item{Arrived: 10 * msec})
	if due := p.Due(20 * msec); due != 1010*msec {
		t.Errorf("due at %d ms", due/msec)
	}
	push(t, p, "b", Item{Arrived: 20 * msec, Deadline: 100 * msec})
	if due := p.Due(20 * msec); due > 96*msec || due < 80*msec {
		t.Errorf("due at %d ms, the deadline is at 100", due/msec)
	}
	for i := range 6 {
		push(t, p, fmt.Sprint(i), Item{Arrived: 20 * msec})
	}
	if due := p.Due(21 * msec); due > 21*msec {
		t.Error("a full batch waits")
	}
}

// TestPolicyMachine: whatever is pushed comes out once, in a batch, late, evicted or removed; no
// batch is too large and nothing late is in one.
func TestPolicyMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{MaxRows: rapid.IntRange(1, 9).Draw(t, "max"), Levels: 2, MaxQueue: 20, Instances: rapid.IntRange(1, 3).Draw(t, "instances")}
		p := testPolicy(cfg)
		waiting := map[*Item]bool{}
		now := int64(0)
		var slots []int
		take := func(it *Item, how string) {
			if !waiting[it] {
				t.Fatalf("%s: %v is not waiting", how, it)
			}
			delete(waiting, it)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(0, 5*msec).Draw(t, "dt")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				it := &Item{Arrived: now, Rows: rapid.IntRange(0, 4).Draw(t, "rows"), Level: rapid.IntRange(0, 3).Draw(t, "level"),
					Tenant: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "tenant")}
				if rapid.Bool().Draw(t, "dated") {
					it.Deadline = now + rapid.Int64Range(-msec, 60*msec).Draw(t, "deadline")
				}
				switch v, _ := p.Admit(it, now); v {
				case Full:
					if victim := p.Evict(it); victim != nil {
						take(victim, "evicted")
						p.Push(it)
						waiting[it] = true
					}
				case Admitted:
					p.Push(it)
					waiting[it] = true
				}
			case 3:
				for it := range waiting {
					p.Remove(it)
					take(it, "removed")
					break
				}
			case 4:
				if len(waiting) == 0 || !p.Free() {
					continue
				}
				batch, late := p.Cut(now, nil, nil)
				rows := 0
				for _, it := range batch {
					take(it, "cut")
					rows += it.rows()
					if it.Deadline != 0 && it.Deadline <= now {
						t.Fatal("a late request is in a batch")
					}
					if it.Rows == 0 && len(batch) > 1 {
						t.Fatal("one that must run alone shares a batch")
					}
				}
				for _, it := range late {
					take(it, "late")
				}
				if len(batch)+len(late) == 0 {
					t.Fatal("nothing was cut although something waited")
				}
				if rows > cfg.MaxRows && len(batch) > 1 {
					t.Fatalf("%d rows in a batch of at most %d", rows, cfg.MaxRows)
				}
				if len(batch) > 0 {
					slots = append(slots, p.Begin(batch[0], rows, now))
				}
			case 5:
				if len(slots) > 0 {
					p.End(slots[0])
					slots = slots[1:]
				}
			}
			if p.Waiting() != len(waiting) || p.Active() != len(slots) {
				t.Fatalf("%d wait, the policy says %d; %d run, it says %d", len(waiting), p.Waiting(), len(slots), p.Active())
			}
		}
	})
}

func TestLatencyLearns(t *testing.T) {
	l := &Latency{}
	if _, _, known := l.Estimate(1, 10, 4); known {
		t.Error("known before anything was seen")
	}
	l.Observe(1, 10, 1, 50*msec) // the first run is slow
	for range 100 {
		for _, n := range []int{1, 4, 16, 64} {
			l.Observe(1, 10, n, 2*msec+int64(n)*msec)
		}
	}
	for _, n := range []int{1, 2, 3, 4, 10, 16, 40, 64, 100} {
		want := 2*msec + int64(n)*msec
		if got, _, _ := l.Estimate(1, 10, n); got < want*95/100 || got > want*105/100 {
			t.Errorf("%d rows: %d µs, want %d", n, got/1000, want/1000)
		}
	}
	if got, _, known := l.Estimate(2, 20, 4); !known || got != 12*msec {
		t.Errorf("an unknown class with twice the work: %d µs", got/1000)
	}
	for c := range uint64(100) {
		l.Observe(100+c, 10, 1, msec)
	}
	if n := len(*l.tables.Load()); n > maxClasses {
		t.Errorf("%d classes are remembered", n)
	}
	bins := []int{}
	for n := 1; n < 3000; n++ {
		bins = append(bins, binOf(n))
	}
	if !slices.IsSorted(bins) || binOf(1<<40) >= binCount {
		t.Error("bins don't rise with rows")
	}
}

// TestOneUnluckySampleHardlyCounts: sizes that are rarely tried must not be given up for a sample that something else made slow.
func TestOneUnluckySampleHardlyCounts(t *testing.T) {
	lat := &Latency{}
	observe := func(rows, times int, ns int64) {
		for range times {
			lat.Observe(0, 1, rows, ns)
		}
	}
	observe(1, 100, 8*msec)
	observe(2, 100, 13*msec)
	observe(4, 1, 40*msec) // 23 ms, had it not been disturbed
	observe(8, 1, 43*msec)
	p := NewPolicy(Config{MaxRows: 8}.WithDefaults(1), lat, nil)
	if c := p.curveOf(&Item{Rows: 1, Bytes: 1}); c.best != 8 {
		t.Errorf("batches of %d are taken for best", c.best)
	}
	// What was seen often counts: from four rows on a row takes longer.
	observe(4, 100, 24*msec)
	observe(8, 100, 60*msec)
	p = NewPolicy(Config{MaxRows: 8}.WithDefaults(1), lat, nil)
	if c := p.curveOf(&Item{Rows: 1, Bytes: 1}); c.best != 4 {
		t.Errorf("batches of %d are taken for best, though 4 are faster", c.best)
	}
}
