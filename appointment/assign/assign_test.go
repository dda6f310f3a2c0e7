package assign

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aimass/aimass/appointment"
	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

func instance(t testing.TB) *Instance {
	t.Helper()
	in, err := ReadInstance("testdata/assign_200x20x12.json")
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// instanceCost is the cost by the instance's own formula.
func instanceCost(in *Instance, pl *Plan) int64 {
	sum := 0
	load := make([]int, in.Doctors)
	half := make([]int, 2*in.Doctors)
	for i, seat := range pl.Seat {
		if in.PriorDoctor[i] >= 0 && in.PriorDoctor[i] != seat.Doctor {
			sum += 10_000
		}
		sum += int(20*in.Urgency[i])*seat.Slot + in.DoctorFitCost[seat.Doctor]
		if seat.Slot/4 != in.PreferredPeriod[i] {
			sum += 100
		}
		if seat.Slot < 2 {
			sum += in.RiskCost[i]
		}
		h := 2 * seat.Doctor
		if seat.Slot >= 6 {
			h++
		}
		sum += 40*load[seat.Doctor] + 15*half[h]
		load[seat.Doctor]++
		half[h]++
	}
	return int64(sum)
}

func TestInstanceOptimum(t *testing.T) {
	in := instance(t)
	p := in.Problem()
	begin := time.Now()
	pl, err := Solve(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cost %d in %v, continuity %d of %d, loads %v", pl.Cost, time.Since(begin), pl.Kept, pl.Asked, pl.Load)
	if got := instanceCost(in, pl); got != in.OptimalCost || pl.Cost != got {
		t.Errorf("cost %d, said %d, optimum %d", got, pl.Cost, in.OptimalCost)
	}
	if pl.Kept != 79 || pl.Asked != 79 {
		t.Errorf("continuity %d of %d, want 79 of 79", pl.Kept, pl.Asked)
	}
	for _, n := range pl.Load {
		if n != 10 {
			t.Errorf("loads %v, want 10 each", pl.Load)
			break
		}
	}
	checkPlan(t, p, pl)
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// checkPlan checks all that a plan must keep, apart from being optimal.
func checkPlan(t failer, p *Problem, pl *Plan) {
	t.Helper()
	used := map[Seat]bool{}
	load := make([]int, p.Doctors)
	places := map[int]bool{}
	for i, s := range pl.Seat {
		if s.Doctor < 0 {
			if s.Slot != -1 || pl.Queue[i] <= 0 || places[pl.Queue[i]] || pl.Reason[i] < ReasonNoDoctor {
				t.Fatalf("request %d: seat %v, queue %d, reason %v", i, s, pl.Queue[i], pl.Reason[i])
			}
			places[pl.Queue[i]] = true
			continue
		}
		load[s.Doctor]++
		if used[s] || pl.Queue[i] != 0 || pl.Reason[i] >= ReasonNoDoctor {
			t.Fatalf("request %d: seat %v used %v, queue %d, reason %v", i, s, used[s], pl.Queue[i], pl.Reason[i])
		}
		used[s] = true
		if p.hasOpen(i) {
			if s != p.Open[i] {
				t.Fatalf("request %d had %v and got %v", i, p.Open[i], s)
			}
			continue
		}
		if !p.Eligible[i*p.Doctors+s.Doctor] || !p.free(s.Doctor, s.Slot) {
			t.Fatalf("request %d got %v, which is not for it", i, s)
		}
	}
	for k := range len(places) {
		if !places[k+1] {
			t.Fatalf("queue places %v have gaps", places)
		}
	}
	for d := range load {
		if load[d] != pl.Load[d] {
			t.Fatalf("loads %v, said %v", load, pl.Load)
		}
	}
}

func random(rng *rand.Rand, r, d, s int, eligible float64) *Problem {
	p := &Problem{Requests: r, Doctors: d, Slots: s, Eligible: make([]bool, r*d), Prior: make([]int, r), Urgency: make([]float64, r),
		NoShow: make([]float64, r), Preference: make([]float32, r*d*s), Free: make([]bool, d*s), Costs: DefaultCosts()}
	for i := range r {
		p.Prior[i] = -1
		if rng.Float64() < .4 {
			p.Prior[i] = rng.IntN(d)
		}
		p.Urgency[i] = float64(1 + rng.IntN(3))
		p.NoShow[i] = []float64{.05, .22, .24, .26, .31, .34, .45}[rng.IntN(7)]
		period := rng.IntN(3)
		for doc := range d {
			p.Eligible[i*d+doc] = rng.Float64() < eligible || doc == p.Prior[i]
			for slot := range s {
				wish := float32(1)
				if slot*3/s != period {
					wish = 0
				}
				p.Preference[(i*d+doc)*s+slot] = wish - .5
			}
		}
	}
	for j := range p.Free {
		p.Free[j] = rng.Float64() < .95
	}
	return p
}

// worths is what placing each request is worth where seats are short: its urgency, and
// more than any urgency for the most urgent of each doctor's patients, as many as the doctor
// has seats.
func worths(p *Problem) []float64 {
	out := slices.Clone(p.Urgency)
	for d := range p.Doctors {
		seats := 0
		for s := range p.Slots {
			taken := p.Open != nil && slices.Contains(p.Open, Seat{d, s})
			if p.free(d, s) && !taken {
				seats++
			}
		}
		var own []int
		for i := range p.Requests {
			if p.Prior[i] == d && p.Eligible[i*p.Doctors+d] && !p.hasOpen(i) {
				own = append(own, i)
			}
		}
		slices.SortStableFunc(own, func(a, b int) int { return cmp.Compare(p.Urgency[b], p.Urgency[a]) })
		for _, i := range own[:min(len(own), seats)] {
			out[i] += slices.Max(p.Urgency) + .001
		}
	}
	return out
}

// enumerate returns the best plan's number placed, worth placed and cost, by trying
// everything.
func enumerate(p *Problem) (int, float64, int64) {
	worth := worths(p)
	taken := make([]bool, p.Doctors*p.Slots)
	load, half := make([]int32, p.Doctors), make([]int32, 2*p.Doctors)
	f := &flow{split: p.halfSplit()}
	bestN, bestU, bestC := -1, 0.0, int64(0)
	for i := range p.Requests {
		if p.hasOpen(i) {
			s := p.Open[i]
			taken[s.Doctor*p.Slots+s.Slot] = true
			load[s.Doctor]++
			half[f.halfOf(s.Doctor, s.Slot)]++
		}
	}
	var walk func(i, n int, u float64, c int64)
	walk = func(i, n int, u float64, c int64) {
		if i == p.Requests {
			for d := range load {
				c += steps(40, load[d]) + steps(15, half[2*d]) + steps(15, half[2*d+1])
			}
			if n > bestN || (n == bestN && (u > bestU+1e-9 || (u > bestU-1e-9 && c < bestC))) {
				bestN, bestU, bestC = n, u, c
			}
			return
		}
		walk(i+1, n, u, c)
		if p.hasOpen(i) {
			return
		}
		for d := range p.Doctors {
			for s := range p.Slots {
				j := d*p.Slots + s
				if p.Eligible[i*p.Doctors+d] && p.free(d, s) && !taken[j] {
					taken[j] = true
					load[d]++
					half[f.halfOf(d, s)]++
					walk(i+1, n+1, u+worth[i], c+p.cost(i, d, s))
					taken[j] = false
					load[d]--
					half[f.halfOf(d, s)]--
				}
			}
		}
	}
	walk(0, 0, 0, 0)
	return bestN, bestU, bestC
}

func TestSmallProblemsAgainstEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		p := random(rng, 1+rng.IntN(6), 1+rng.IntN(4), 1+rng.IntN(3), .8)
		for j := range p.Free {
			p.Free[j] = rng.Float64() < .7
		}
		if rng.IntN(2) == 0 {
			p.Open = make([]Seat, p.Requests)
			for i := range p.Open {
				p.Open[i] = none
			}
			p.Open[rng.IntN(p.Requests)] = Seat{rng.IntN(p.Doctors), rng.IntN(p.Slots)}
		}
		pl, err := Solve(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		checkPlan(t, p, pl)
		n, u := 0, 0.0
		for i, s := range pl.Seat {
			if s.Doctor >= 0 && !p.hasOpen(i) {
				n++
				u += worths(p)[i]
			}
		}
		wantN, wantU, wantC := enumerate(p)
		if n != wantN || math.Abs(u-wantU) > 1e-9 || pl.Cost != wantC {
			t.Fatalf("placed %d, urgency %v, cost %d; best %d, %v, %d", n, u, pl.Cost, wantN, wantU, wantC)
		}
	})
}

// certify proves a flow optimal: no residual arc has a negative reduced cost, so
// there is no cheaper way round.
func certify(t *testing.T, f *flow) {
	t.Helper()
	bad := 0
	arc := func(u, v int, c int64) {
		if c+f.pi[u]-f.pi[v] < 0 {
			bad++
		}
	}
	for i := range f.requests {
		if f.queued[i] {
			arc(f.sink(), i, -f.queueCost[i])
		} else {
			arc(i, f.sink(), f.queueCost[i])
		}
		for k, d := range f.doctorsOf[i] {
			for s := range f.slots {
				c := f.cost[i][k*f.slots+s]
				if c == noArc {
					continue
				}
				if f.seatOf[i] == int32(int(d)*f.slots+s) {
					arc(f.seatNode(int(d), s), i, -int64(c))
				} else {
					arc(i, f.seatNode(int(d), s), int64(c))
				}
			}
		}
	}
	for d := range f.doctors {
		for s := range f.slots {
			h := f.halfNode(f.halfOf(d, s))
			switch r := f.requestAt[d*f.slots+s]; {
			case r >= 0:
				arc(h, f.seatNode(d, s), 0)
			case r != closed:
				arc(f.seatNode(d, s), h, 0)
			}
		}
		for h := 2 * d; h < 2*d+2; h++ {
			arc(f.halfNode(h), f.docNode(d), f.halfStep*int64(f.halfLoad[h]))
			if f.halfLoad[h] > f.fixedHalf[h] {
				arc(f.docNode(d), f.halfNode(h), -f.halfStep*int64(f.halfLoad[h]-1))
			}
		}
		arc(f.docNode(d), f.sink(), f.docStep*int64(f.docLoad[d]))
		if f.docLoad[d] > f.fixedLoad[d] {
			arc(f.sink(), f.docNode(d), -f.docStep*int64(f.docLoad[d]-1))
		}
	}
	if bad > 0 {
		t.Errorf("%d residual arcs have a negative reduced cost: not optimal", bad)
	}
}

func solveAndCertify(t *testing.T, p *Problem) (*Plan, time.Duration) {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	f, err := optimise(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	pl := read(p, f)
	took := time.Since(begin)
	certify(t, f)
	checkPlan(t, p, pl)
	return pl, took
}

func TestOptimalityIsCertified(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	for _, size := range [][3]int{{200, 20, 12}, {300, 20, 12}, {100, 30, 8}, {60, 5, 20}, {1000, 50, 20}} {
		for _, share := range []float64{.05, .3, 1} {
			p := random(rng, size[0], size[1], size[2], share)
			if share == 1 {
				for i := range p.Urgency {
					p.Urgency[i] = 3 * rng.Float64()
				}
			}
			pl, took := solveAndCertify(t, p)
			t.Logf("%v eligible %.2f: cost %d in %v", size, share, pl.Cost, took)
		}
	}
}

func TestLargeProblem(t *testing.T) {
	if testing.Short() {
		t.Skip("5,000 × 200 × 20")
	}
	rng := rand.New(rand.NewPCG(4, 5))
	p := random(rng, 5000, 200, 20, .3)
	pl, took := solveAndCertify(t, p)
	queued := 0
	for _, q := range pl.Queue {
		if q > 0 {
			queued++
		}
	}
	t.Logf("cost %d, %d queued, continuity %d of %d, %v", pl.Cost, queued, pl.Kept, pl.Asked, took)
	if queued == len(pl.Queue) {
		t.Error("nobody was placed")
	}
	keep := 0
	for d := range p.Doctors {
		seats, own := 0, 0
		for s := range p.Slots {
			if p.free(d, s) {
				seats++
			}
		}
		for i := range p.Requests {
			if p.Prior[i] == d {
				own++
			}
		}
		keep += min(seats, own)
	}
	if pl.Kept != keep {
		t.Errorf("%d of %d patients keep their doctor where that can be", pl.Kept, keep)
	}
}

func TestReasons(t *testing.T) {
	p := &Problem{
		Requests: 7, Doctors: 3, Slots: 1, Costs: DefaultCosts(),
		Eligible: []bool{
			true, false, false,
			true, false, false,
			false, false, false,
			false, true, false,
			false, false, true,
			false, true, true,
			true, false, true,
		},
		Prior: []int{0, -1, -1, -1, -1, -1, 0}, Urgency: []float64{2, 1, 1, 1, 1, 1, 1.5}, NoShow: make([]float64, 7),
		Free: []bool{true, false, true},
		Open: []Seat{none, none, none, none, none, {1, 0}, none},
	}
	pl, err := Solve(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	checkPlan(t, p, pl)
	want := []Reason{ReasonPriorKept, ReasonAllTaken, ReasonNoDoctor, ReasonNoSlot, ReasonAllTaken, ReasonOpenKept, ReasonPriorFull}
	queue := []int{0, 1, 2, 3, 4, 0, 0}
	for i := range want {
		if pl.Reason[i] != want[i] || pl.Queue[i] != queue[i] {
			t.Errorf("request %d: %v, place %d; want %v, place %d", i, pl.Reason[i], pl.Queue[i], want[i], queue[i])
		}
	}
	p.Prior[6] = 1
	pl, err = Solve(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if pl.Reason[6] != ReasonPriorAway {
		t.Errorf("prior doctor away: %v", pl.Reason[6])
	}
}

func tensors(p *Problem) *Tensors {
	x := &Tensors{R: p.Requests, D: p.Doctors, S: p.Slots, Eligible: p.Eligible, Preference: p.Preference, SlotFree: make([]bool, p.Doctors*p.Slots)}
	for j := range x.SlotFree {
		x.SlotFree[j] = true
	}
	for i := range p.Requests {
		x.PriorDoctor = append(x.PriorDoctor, int32(p.Prior[i]))
		x.Urgency = append(x.Urgency, float32(p.Urgency[i]))
		x.NoShow = append(x.NoShow, float32(p.NoShow[i]))
	}
	return x
}

func TestTensorsReachTheOptimum(t *testing.T) {
	in := instance(t)
	x := tensors(in.Problem())
	out, err := SolveTensors(context.Background(), x)
	if err != nil {
		t.Fatal(err)
	}
	pl := &Plan{}
	for i := range x.R {
		pl.Seat = append(pl.Seat, Seat{int(out.Doctor[i]), int(out.Slot[i])})
	}
	if c := instanceCost(in, pl); c != in.OptimalCost {
		t.Errorf("cost %d, optimum %d", c, in.OptimalCost)
	}
}

func TestBadInput(t *testing.T) {
	in := instance(t)
	f := func(want appointment.Code, change func(x *Tensors)) {
		t.Helper()
		x := tensors(in.Problem())
		change(x)
		if _, err := SolveTensors(context.Background(), x); appointment.CodeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(appointment.CodePriorDoctorRange, func(x *Tensors) { x.PriorDoctor[0] = 20 })
	f(appointment.CodePriorDoctorRange, func(x *Tensors) { x.PriorDoctor[0] = -2 })
	f(appointment.CodeRaggedBatch, func(x *Tensors) { x.Urgency = x.Urgency[1:] })
	f(appointment.CodeRaggedBatch, func(x *Tensors) { x.Preference = nil })
	f(appointment.CodeRaggedBatch, func(x *Tensors) { x.Eligible = x.Eligible[1:] })
	f(appointment.CodeRaggedBatch, func(x *Tensors) { x.SlotFree = nil })
	f(appointment.CodeBadProbability, func(x *Tensors) { x.NoShow[7] = -1 })
	f(appointment.CodeNotFinite, func(x *Tensors) { x.NoShow[7] = float32(math.NaN()) })
	f(appointment.CodeNotFinite, func(x *Tensors) { x.Preference[7] = float32(math.Inf(1)) })
	f(appointment.CodeBadUrgency, func(x *Tensors) { x.Urgency[7] = -1 })
	f(appointment.CodeEmptyBatch, func(x *Tensors) { *x = Tensors{} })
	p := in.Problem()
	p.Open = make([]Seat, p.Requests)
	if _, err := Solve(context.Background(), p); appointment.CodeOf(err) != appointment.CodeBadSeat {
		t.Errorf("one seat given twice: %v", err)
	}
	p.Open = nil
	p.Costs.DoctorStep = -1
	if _, err := Solve(context.Background(), p); appointment.CodeOf(err) != appointment.CodeNegativeWeight {
		t.Errorf("negative step: %v", err)
	}
}
