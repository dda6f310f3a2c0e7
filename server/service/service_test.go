package service

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/server/logs"
)

func newService(t *testing.T, cfg Config, log io.Writer) *Service {
	t.Helper()
	c, err := cache.New(cache.Config{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return New(cfg, pipeline.New(c), nil, nil, logs.New(log, logs.Config{}))
}

func TestAuthorize(t *testing.T) {
	open, closed := newService(t, Config{}, io.Discard), newService(t, Config{AdminToken: "s3cret"}, io.Discard)
	f := func(s *Service, c Caller, addr string, allowed bool) {
		t.Helper()
		if addr != "" {
			c.Addr = netip.MustParseAddr(addr)
		}
		err := s.Authorize(&c)
		if allowed != (err == nil) || err != nil && api.CodeOf(err) != api.CodeAdminForbidden {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, s := range []*Service{open, closed} {
		f(s, Caller{}, "127.0.0.1", true)
		f(s, Caller{}, "127.8.8.8", true)
		f(s, Caller{}, "::1", true)
		f(s, Caller{}, "::ffff:127.0.0.1", true)
		f(s, Caller{}, "", false)
		f(s, Caller{}, "10.0.0.1", false)
		f(s, Caller{}, "::ffff:10.0.0.1", false)
		f(s, Caller{Authorization: "Bearer"}, "10.0.0.1", false)
		f(s, Caller{Authorization: "Bearer "}, "10.0.0.1", false)
		f(s, Caller{Origin: "http://evil.example", Host: "127.0.0.1:8000"}, "127.0.0.1", false)
		f(s, Caller{Origin: "null", Host: "127.0.0.1:8000"}, "127.0.0.1", false)
		f(s, Caller{Origin: "http://127.0.0.1:8000", Host: "127.0.0.1:8000"}, "127.0.0.1", true)
	}
	f(closed, Caller{Authorization: "Bearer s3cret"}, "10.0.0.1", true)
	f(closed, Caller{Authorization: "bearer s3cret"}, "", true)
	f(closed, Caller{Authorization: "Bearer s3cre"}, "127.0.0.1", false)
	f(closed, Caller{Authorization: "Basic s3cret"}, "10.0.0.1", false)
	f(open, Caller{Authorization: "Bearer x"}, "10.0.0.1", false)
}

func TestVersions(t *testing.T) {
	for v, want := range map[string]bool{"1": true, "9223372036854775807": true, "0": false, "01": false, "-1": false, "a": false, "1a": false,
		"99999999999999999999": false, " 1": false} {
		if validVersion([]byte(v)) != want {
			t.Errorf("version %q: %v", v, !want)
		}
	}
}

func settings(kv ...string) map[string]*inferencepb.TraceSettingRequest_SettingValue {
	m := map[string]*inferencepb.TraceSettingRequest_SettingValue{}
	for i := 0; i < len(kv); i += 2 {
		v := &inferencepb.TraceSettingRequest_SettingValue{}
		if kv[i+1] != "" {
			v.Value = strings.Split(kv[i+1], ",")
		}
		m[kv[i]] = v
	}
	return m
}

func TestTraceSampling(t *testing.T) {
	s := newService(t, Config{}, io.Discard)
	set := func(kv ...string) error {
		_, err := s.TraceSetting(&inferencepb.TraceSettingRequest{Settings: settings(kv...)})
		return err
	}
	sampled := func(model string, n int) (got int) {
		for range n {
			if s.trace.sample(model) {
				got++
			}
		}
		return got
	}
	if got := sampled("m", 5000); got != 0 {
		t.Errorf("%d traces while off", got)
	}
	if err := set("trace_level", "TIMESTAMPS", "trace_rate", "10"); err != nil {
		t.Fatal(err)
	}
	if got := sampled("m", 100); got != 10 {
		t.Errorf("rate 10: %d of 100", got)
	}
	if err := set("trace_count", "3"); err != nil {
		t.Fatal(err)
	}
	if got := sampled("m", 100); got != 3 {
		t.Errorf("count 3: %d", got)
	}
	s.trace.mu.Lock()
	s.trace.target("quiet")["trace_level"] = []string{"OFF"}
	s.trace.restart("quiet")
	s.trace.mu.Unlock()
	if got := sampled("quiet", 100); got != 0 {
		t.Errorf("a model with a level of its own: %d", got)
	}
	if err := set("trace_level", ""); err != nil {
		t.Fatal(err)
	}
	if s.trace.active.Load() {
		t.Error("still active after the level was cleared")
	}
	for _, bad := range [][2]string{{"trace_level", "LOUD"}, {"trace_rate", "0"}, {"trace_rate", "x"}, {"trace_rate", "1,2"}, {"trace_count", "-2"},
		{"log_frequency", "-1"}, {"trace_mode", "opentelemetry"}, {"trace_file", "x"}, {"color", "red"}} {
		if err := set(bad[0], bad[1]); api.CodeOf(err) != api.CodeParameterInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
