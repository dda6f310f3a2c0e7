package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/runtime"
)

// modelRow is one version in the table of a repository.
type modelRow struct {
	Model         string `json:"model"`
	Version       int64  `json:"version"`
	State         string `json:"state"`
	Reason        string `json:"reason,omitempty"`
	Inputs        int    `json:"inputs"`
	Outputs       int    `json:"outputs"`
	Nodes         int    `json:"nodes"`
	MaxBatch      int    `json:"max_batch"`
	Batch         string `json:"batch"`
	WeightsOwned  int64  `json:"weights_owned_bytes"`
	WeightsMapped int64  `json:"weights_mapped_bytes"`
	LoadMS        int64  `json:"load_ms"`
}

// keeper hears of versions as they come and remembers what the table shows of them.
type keeper struct {
	mu   sync.Mutex
	seen map[string]*repository.Version
}

func versionKey(model string, n int64) string { return fmt.Sprintf("%s/%d", model, n) }

func (k *keeper) Ready(v *repository.Version) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen[versionKey(v.Model, v.Number)] = v
	return nil
}

func (k *keeper) Gone(*repository.Version) {}

// inspectRepository loads every model as a server would, without warm-up, and shows them.
func inspectRepository(cmd *cobra.Command, engine *runtime.Engine, dir string, asJSON bool) error {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	repo, err := repository.New(repository.Config{Dir: dir, WarmupOff: true}.WithDefaults(), engine, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	k := &keeper{seen: map[string]*repository.Version{}}
	repo.SetListener(k)
	if err := repo.LoadAll(ctx); err != nil {
		return err
	}
	rows, failed := tableRows(repo, k)
	if len(rows) == 0 {
		err = fmt.Errorf("%s holds no models: expected MODEL/VERSION/model.onnx beneath it", dir)
	} else if asJSON {
		err = writeJSON(cmd.OutOrStdout(), rows)
	} else {
		writeRows(cmd.OutOrStdout(), rows)
	}
	if failed > 0 && err == nil {
		err = fmt.Errorf("%d of %d versions do not load; `aimass inspect MODEL.onnx` tells more of one", failed, len(rows))
	}
	return errors.Join(err, repo.Close(ctx))
}

func tableRows(repo *repository.Repository, k *keeper) (rows []modelRow, failed int) {
	for _, e := range repo.Index() {
		row := modelRow{Model: e.Name, Version: e.Version, State: e.State.String(), Reason: e.Reason}
		if v := k.seen[versionKey(e.Name, e.Version)]; v != nil && e.State == repository.Ready {
			row.Inputs, row.Outputs = len(v.Runtime.Inputs), len(v.Runtime.Outputs)
			row.MaxBatch, row.Batch = v.Config.MaxBatch, v.Runtime.Batch.Reason
			row.WeightsOwned, row.WeightsMapped = v.Runtime.WeightBytes()
			row.LoadMS = v.LoadDuration.Milliseconds()
			if v.Runtime.Graph != nil {
				row.Nodes = len(v.Runtime.Graph.Nodes)
			}
		} else {
			failed++
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b modelRow) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Version, b.Version))
	})
	return rows, failed
}

func writeRows(w io.Writer, rows []modelRow) {
	t := newTable(w, "model", "version", "state", "in", "out", "nodes", "max batch", "weights", "batching, or why it failed")
	for _, r := range rows {
		why := r.Batch
		if r.Reason != "" {
			why = r.Reason
		}
		t.row(r.Model, fmt.Sprint(r.Version), r.State, fmt.Sprint(r.Inputs), fmt.Sprint(r.Outputs), fmt.Sprint(r.Nodes), fmt.Sprint(r.MaxBatch),
			bytesText(r.WeightsMapped+r.WeightsOwned), why)
	}
	t.flush()
}
