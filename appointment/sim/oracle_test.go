package sim

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/aimass/aimass/appointment/schedule"
)

// scenario is a session as oracle/oracle.py takes it.
type scenario struct {
	Name    string          `json:"name"`
	Planned int             `json:"planned"`
	Visits  []scenarioVisit `json:"visits"`
	// Early and Late are mean and standard deviation, nil for punctual.
	Early []float64 `json:"early"`
	Late  []float64 `json:"late"`
	run   *Session
}

type scenarioVisit struct {
	At     int       `json:"at"`
	NoShow float64   `json:"no_show"`
	PMF    []float64 `json:"pmf"`
}

// figure is what another simulator says of a scenario.
type figure struct {
	Scenario, Simulator  string
	Wait, Idle, Overtime struct{ Mean, SE float64 }
}

func scenarios(t *testing.T) []scenario {
	t.Helper()
	var out []scenario
	add := func(name string, early, late []float64, rule schedule.Rule) {
		in, err := schedule.ReadInstance(filepath.Join("..", "schedule", "testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		p := in.Problem()
		plan := in.BestKnown.Plan
		if rule != "" {
			plan = schedule.Plan{Order: plan.Order, Times: rule.Times(p)}
		}
		s := scenario{Name: name + " " + string(rule), Planned: p.Session, Early: early, Late: late, run: planned(p, plan)}
		for k, i := range plan.Order {
			q := p.Patients[i]
			s.Visits = append(s.Visits, scenarioVisit{plan.Times[k], q.NoShow, schedule.ServicePMF(q.Mean, q.CV)})
		}
		if early != nil {
			s.Name += " unpunctual"
			s.run.Punctuality, s.run.Late = Normal(early[0], early[1]), Normal(late[0], late[1])
		}
		out = append(out, s)
	}
	early, late := []float64{-5, 8}, []float64{3, 5}
	add("fixed_10_N24_balanced", nil, nil, "")
	add("fixed_hetero_14_N14_balanced", nil, nil, "")
	add("fixed_10_N24_balanced", early, late, "")
	add("fixed_10_N24_balanced", early, late, schedule.RuleBaileyWelch)
	add("fixed_hetero_16_N18_patient", early, late, schedule.RuleEqual)
	return out
}

// TestOracle is the body of make sim-oracle: the same sessions in Ciw and SimPy, which
// share no line with this simulator.
func TestOracle(t *testing.T) {
	python := os.Getenv("AIMASS_SIM_PYTHON")
	if python == "" {
		t.Skip("make sim-oracle runs this")
	}
	runs := 4000
	if n, err := strconv.Atoi(os.Getenv("AIMASS_SIM_RUNS")); err == nil {
		runs = n
	}
	list := scenarios(t)
	in, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(python, filepath.Join("oracle", "oracle.py"), strconv.Itoa(runs))
	c.Stdin, c.Stderr = bytes.NewReader(in), os.Stderr
	answer, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var figures []figure
	if err := json.Unmarshal(answer, &figures); err != nil {
		t.Fatal(err)
	}
	if len(figures) != 2*len(list) {
		t.Fatalf("%d figures for %d scenarios of two simulators", len(figures), len(list))
	}
	for i, f := range figures {
		s := &list[i/2]
		var wait, idle, over estimate
		rng := rand.New(rand.NewPCG(uint64(i), 3))
		for range 20_000 {
			o := s.run.Run(rng)
			wait.add(o.Wait)
			idle.add(o.Idle)
			over.add(o.Overtime)
		}
		z := func(e *estimate, mean, se float64) float64 {
			m := e.mean()
			return (m - mean) / math.Sqrt(se*se+(e.sum2/e.n-m*m)/e.n)
		}
		zs := []float64{z(&wait, f.Wait.Mean, f.Wait.SE), z(&idle, f.Idle.Mean, f.Idle.SE), z(&over, f.Overtime.Mean, f.Overtime.SE)}
		t.Logf("%-46s %-5s wait %.1f idle %.1f overtime %.1f; z %+.2f %+.2f %+.2f", f.Scenario, f.Simulator, f.Wait.Mean, f.Idle.Mean, f.Overtime.Mean, zs[0], zs[1],
			zs[2])
		for _, v := range zs {
			if !(math.Abs(v) < 3) {
				t.Errorf("%s, %s: |z| is %.2f, limit 3", f.Scenario, f.Simulator, math.Abs(v))
			}
		}
	}
}
