package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/client"
)

// TestRecommendLatency is a part of make appointment-bench: recommendations for twenty
// doctors over HTTP at 100 requests a second, from a server in a process of its own. It
// prints and judges nothing: the machine decides.
func TestRecommendLatency(t *testing.T) {
	if os.Getenv("AIMASS_APPOINTMENT_BENCH") == "" {
		t.Skip("make appointment-bench runs this")
	}
	models := t.TempDir()
	if err := writeDemo(context.Background(), models, io.Discard); err != nil {
		t.Fatal(err)
	}
	p := start(t, models, "127.0.0.1")
	c := p.client(t)
	needs := []string{"general", "heart", "skin", "eyes", "children", "bones", "women", "mind"}
	rng := rand.New(rand.NewPCG(1, 1))
	ask := func(n int) (time.Duration, error) {
		one := []int{1}
		begin := time.Now()
		_, err := c.Infer(context.Background(), &client.Request{Model: "recommend", Inputs: []client.Tensor{
			client.Strings("patient", one, []string{fmt.Sprintf("p-%03d", 1+n%60)}), client.Strings("need", one, []string{needs[n%len(needs)]}),
			client.Strings("earliest", one, []string{time.Date(2031, 3, 3+n%20, 8+n%9, 0, 0, 0, time.UTC).Format(time.RFC3339)}), client.Float32("urgency", one, []float32{1}),
		}})
		return time.Since(begin), err
	}
	const rate, seconds = 100, 20
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	due := time.Now()
	for n := range rate * (seconds + 2) {
		due = due.Add(time.Duration(rng.ExpFloat64() * float64(time.Second) / rate))
		time.Sleep(time.Until(due))
		wg.Go(func() {
			d, err := ask(n)
			if err != nil {
				t.Errorf("request %d: %v", n, err)
			}
			if n >= 2*rate { // warm
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond) }
	fmt.Printf("recommend over HTTP, 20 doctors, %d requests/s, Poisson, %d s: p50 %s, p90 %s, p99 %s, longest %s\n", rate, seconds, at(.5), at(.9), at(.99), at(1))
}
