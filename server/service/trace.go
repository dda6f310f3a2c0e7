package service

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
)

// traces holds the trace settings: those of the server, and of each model where they differ. A traced request has a line
// "trace" in the log with the time that each stage took.
type traces struct {
	// active is true where some level is on, so that requests need look no further otherwise.
	active atomic.Bool
	mu     sync.Mutex
	global map[string][]string
	models map[string]*modelTrace
	server modelTrace // counts of models without settings of their own
}

type modelTrace struct {
	settings    map[string][]string // those that differ from the server's
	seen, count int64
}

// traceDefaults are the settings there are, and what they are where nothing was set.
var traceDefaults = map[string][]string{
	"trace_file": {""}, "trace_level": {"OFF"}, "trace_rate": {"1000"}, "trace_count": {"-1"}, "log_frequency": {"0"}, "trace_mode": {"triton"},
}

// TraceSetting changes what the request names, for one model or with an empty name for all, and returns all settings. An
// empty value clears a setting.
func (s *Service) TraceSetting(r *inferencepb.TraceSettingRequest) (*inferencepb.TraceSettingResponse, error) {
	if r.ModelName != "" && len(s.pipe.Versions([]byte(r.ModelName))) == 0 {
		return nil, api.Errorf(api.CodeModelNotFound, "Request for unknown model : %s", r.ModelName)
	}
	for key, value := range r.Settings {
		if err := checkTrace(key, value.GetValue()); err != nil {
			return nil, err
		}
	}
	t := &s.trace
	t.mu.Lock()
	defer t.mu.Unlock()
	target := t.target(r.ModelName)
	for key, value := range r.Settings {
		if len(value.GetValue()) == 0 {
			delete(target, key)
		} else {
			target[key] = slices.Clone(value.GetValue())
		}
	}
	if len(r.Settings) > 0 {
		t.restart(r.ModelName)
	}
	out := &inferencepb.TraceSettingResponse{Settings: map[string]*inferencepb.TraceSettingResponse_SettingValue{}}
	for key, value := range t.effective(r.ModelName) {
		out.Settings[key] = &inferencepb.TraceSettingResponse_SettingValue{Value: value}
	}
	return out, nil
}

func checkTrace(key string, value []string) error {
	if _, ok := traceDefaults[key]; !ok {
		return api.Errorf(api.CodeParameterInvalid, "unknown trace setting '%s'", key)
	}
	switch {
	case key == "trace_file":
		return api.Errorf(api.CodeParameterInvalid, "trace file location can not be updated through network protocol")
	case len(value) == 0:
		return nil
	case key == "trace_level":
		for _, level := range value {
			if level != "OFF" && level != "TIMESTAMPS" {
				return api.Errorf(api.CodeParameterInvalid, "trace level '%s' is not supported, only OFF and TIMESTAMPS", level)
			}
		}
		return nil
	case len(value) > 1:
		return api.Errorf(api.CodeParameterInvalid, "trace setting '%s' takes one value", key)
	case key == "trace_mode":
		if value[0] != traceDefaults[key][0] {
			return api.Errorf(api.CodeParameterInvalid, "trace mode can not be updated through network protocol")
		}
		return nil
	}
	n, err := strconv.ParseInt(value[0], 10, 64)
	if err != nil || n < 0 && !(key == "trace_count" && n == -1) || n == 0 && key == "trace_rate" {
		return api.Errorf(api.CodeParameterInvalid, "trace setting '%s' can't be '%s'", key, value[0])
	}
	return nil
}

// target is the map of settings to change. t.mu is held.
func (t *traces) target(model string) map[string][]string {
	if t.global == nil {
		t.global, t.models = map[string][]string{}, map[string]*modelTrace{}
	}
	if model == "" {
		return t.global
	}
	m := t.models[model]
	if m == nil {
		m = &modelTrace{settings: map[string][]string{}}
		t.models[model] = m
	}
	return m.settings
}

// effective merges the settings of a model, of the server, and the defaults. t.mu is held.
func (t *traces) effective(model string) map[string][]string {
	all := maps.Clone(traceDefaults)
	maps.Copy(all, t.global)
	if m := t.models[model]; m != nil {
		maps.Copy(all, m.settings)
	}
	return all
}

// restart begins counting anew after a change and finds out whether anything is traced. t.mu is held.
func (t *traces) restart(model string) {
	if m := t.models[model]; m != nil {
		m.seen, m.count = 0, 0
	} else {
		t.server.seen, t.server.count = 0, 0
	}
	on := levelOn(t.effective(""))
	for name := range t.models {
		on = on || levelOn(t.effective(name))
	}
	t.active.Store(on)
}

func levelOn(settings map[string][]string) bool {
	return slices.Contains(settings["trace_level"], "TIMESTAMPS")
}

// sample decides whether a request is traced.
func (t *traces) sample(model string) bool {
	if !t.active.Load() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	settings := t.effective(model)
	if !levelOn(settings) {
		return false
	}
	m := t.models[model]
	if m == nil {
		m = &t.server
	}
	rate, _ := strconv.ParseInt(settings["trace_rate"][0], 10, 64)
	limit, _ := strconv.ParseInt(settings["trace_count"][0], 10, 64)
	m.seen++
	if m.seen%max(rate, 1) != 0 || limit >= 0 && m.count >= limit {
		return false
	}
	m.count++
	return true
}
