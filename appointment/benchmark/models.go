package benchmark

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/aimass/aimass/appointment/noshow"
	"github.com/aimass/aimass/appointment/sim"
	"github.com/aimass/aimass/appointment/wait"
	"github.com/aimass/aimass/train"
)

// Real data files, by their place in the shared folder.
const (
	serviceFile = "appointments/data/hangu-service-times.csv"
	noShowFile  = "appointments/data/noshow-may-2016.csv.zip"
)

// PrintWaits trains the waiting-time model on the simulator and writes what it measures
// on half-days that it has not seen. The error is that of a missed gate, too.
func PrintWaits(ctx context.Context, w io.Writer) error {
	_, r, err := wait.Train(ctx, wait.DefaultConfig())
	if err != nil {
		return fmt.Errorf("appointment benchmark: %w", err)
	}
	fmt.Fprintf(w, "waits, simulated: P50 %.3f, P90 %.3f (raw %.3f), P95 %.3f; pinball P90 %.2f (constant %.2f); visit length %.3f covered, types %.3f, width "+
		"%.1f, Winkler %.1f (normal %.1f)\n",
		r.Coverage[0], r.Coverage[1], r.RawCoverage[1], r.Coverage[2], r.Pinball[1], r.ConstantPinball[1],
		r.Service.Coverage, r.Service.ByGroup, r.Service.Width, r.Service.Winkler, r.NormalService.Winkler)
	return r.Gate()
}

// PrintServices measures intervals on the real visit lengths of the shared folder, where
// they are. The error is that of a missed gate, too.
func PrintServices(ctx context.Context, w io.Writer, shared string) error {
	file := filepath.Join(shared, serviceFile)
	if !present(w, "intervals on real visit lengths", shared, file) {
		return nil
	}
	rows, err := sim.ReadConsultations(file, sim.HanguSHA256)
	if err != nil {
		return fmt.Errorf("appointment benchmark: %w", err)
	}
	r, err := wait.EvaluateService(ctx, rows, wait.DefaultConfig())
	if err != nil {
		return fmt.Errorf("appointment benchmark: %w", err)
	}
	fmt.Fprintf(w, "visit lengths, real: %.3f covered, first and return %.3f, width %.1f, Winkler %.1f (normal interval %.3f, %.1f, %.1f)\n",
		r.Mondrian.Coverage, r.Mondrian.ByGroup, r.Mondrian.Width, r.Mondrian.Winkler, r.Normal.Coverage, r.Normal.Width, r.Normal.Winkler)
	return r.Mondrian.Gate()
}

// PrintNoShows trains the no-show models on the real appointments of the shared folder,
// where they are, into the folder scratch. The error is that of a missed gate, too.
func PrintNoShows(ctx context.Context, w io.Writer, shared, scratch string) error {
	file := filepath.Join(shared, noShowFile)
	if !present(w, "no-shows on real appointments", shared, file) {
		return nil
	}
	registry := train.Registry{}
	registry.Add(noshow.TrainerName, noshow.Train)
	for _, m := range []noshow.Moment{noshow.Booking, noshow.DayOf} {
		begin := time.Now()
		res, err := registry.Run(ctx, train.Job{
			Trainer: noshow.TrainerName, Data: file, Out: scratch, Seed: 1, Parameters: map[string]string{"moment": m.String()},
		})
		fmt.Fprintf(w, "no-shows, %s:", m)
		for _, f := range res.Metrics {
			fmt.Fprintf(w, " %s %.4f", f.Name, f.Value)
		}
		fmt.Fprintf(w, ", %.1f s\n", time.Since(begin).Seconds())
		if err != nil {
			return fmt.Errorf("appointment benchmark: %w", err)
		}
	}
	return nil
}

// present reports whether a file of the shared folder is there, and says so if not.
func present(w io.Writer, what, shared, file string) bool {
	if _, err := os.Stat(file); shared == "" || err != nil {
		fmt.Fprintf(w, "NOT RUN: %s: the shared data are not at hand (AIMASS_SHARED)\n", what)
		return false
	}
	return true
}
