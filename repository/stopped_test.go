package repository

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime"
)

// stopping ends its context while a version becomes ready.
type stopping struct {
	nobody
	stop context.CancelFunc
}

func (s stopping) Ready(*Version) error {
	s.stop()
	return context.Canceled
}

// TestLoadGivenUp: a server that is told to stop while it loads has no errors to tell of.
func TestLoadGivenUp(t *testing.T) {
	var log bytes.Buffer
	cfg := Config{Dir: t.TempDir()}
	put(t, cfg.Dir, "m/1/model.onnx", addModel(t, 1))
	r, err := New(cfg, runtime.NewEngine(runtime.Config{}), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.SetListener(stopping{stop: stop})
	err = r.Load(ctx, "m", nil)
	if e := r.Close(t.Context()); e != nil {
		t.Error(e)
	}
	if text := log.String(); err == nil || strings.Contains(text, "level=ERROR") || !strings.Contains(text, "given up") {
		t.Errorf("%v\n%s", err, text)
	}
}
