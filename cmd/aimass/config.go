package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/train/program"
)

// settings are what `aimass serve` can be told, by flag, environment or file. Every name
// is the same in all three: --max-batch, AIMASS_MAX_BATCH, max-batch.
type settings struct {
	Models         string        `yaml:"models"`
	HTTP           string        `yaml:"http"`
	GRPC           string        `yaml:"grpc"`
	Metrics        string        `yaml:"metrics"`
	AdminTokenFile string        `yaml:"admin-token-file"`
	ModelKeys      string        `yaml:"model-keys"`
	TrustedSigners string        `yaml:"trusted-signers"`
	StrictConfig   bool          `yaml:"strict-config"`
	Poll           time.Duration `yaml:"poll"`
	WarmupOff      bool          `yaml:"no-warmup"`
	Threads        int           `yaml:"threads"`
	Device         string        `yaml:"device"`
	GPUs           string        `yaml:"gpus"`
	FatalXIDs      string        `yaml:"fatal-xids"`
	MaxBatchRows   int           `yaml:"max-batch-rows"`
	MaxQueue       int           `yaml:"max-queue"`
	ModelBytes     int64         `yaml:"model-bytes"`
	CacheBytes     int64         `yaml:"cache-bytes"`
	CacheRedis     string        `yaml:"cache-redis"`
	CacheRedisTTL  time.Duration `yaml:"cache-redis-ttl"`
	CacheRedisWait time.Duration `yaml:"cache-redis-timeout"`
	MaxInput       int           `yaml:"http-max-input-size"`
	MaxBundle      int64         `yaml:"max-bundle-size"`
	IgnoreClosed   bool          `yaml:"http-ignore-closed"`
	Grace          time.Duration `yaml:"grace"`
	DrainTimeout   time.Duration `yaml:"drain-timeout"`
	LogFormat      string        `yaml:"log-format"`
	AccessLog      bool          `yaml:"access-log"`
	LogVerbose     int           `yaml:"log-verbose"`
	LogDir         string        `yaml:"log-dir"`
	LogFileBytes   int64         `yaml:"log-file-bytes"`
	LogKeepBytes   int64         `yaml:"log-keep-bytes"`
	OTLPEndpoint   string        `yaml:"otlp-endpoint"`
	OTLPRatio      float64       `yaml:"otlp-ratio"`
	NoTritonNames  bool          `yaml:"no-triton-metrics"`
	TrainDir       string        `yaml:"train-dir"`
	TrainData      string        `yaml:"train-data"`
	TrainParallel  int           `yaml:"train-parallel"`
	TrainWorkers   int           `yaml:"train-workers"`
	TrainShare     float64       `yaml:"train-share"`
	TrainCgroup    string        `yaml:"train-cgroup"`
	TrainUpload    int64         `yaml:"train-upload-bytes"`
	// TrainPrograms are set in the file alone.
	TrainPrograms map[string]program.Config `yaml:"train-programs,omitempty"`
	AllowShm      bool                      `yaml:"allow-client-shm"`
	ShmPrefix     string                    `yaml:"client-shm-prefix"`
}

func defaultSettings() settings {
	return settings{
		HTTP: "127.0.0.1:8000", GRPC: "127.0.0.1:8001", Metrics: "127.0.0.1:8002", MaxBatchRows: 64, Device: auto, MaxQueue: 4096,
		CacheBytes: 256 << 20, CacheRedisTTL: time.Hour, CacheRedisWait: 20 * time.Millisecond, MaxInput: 128 << 20, MaxBundle: 16 << 30, Grace: time.Second, DrainTimeout: 30 * time.Second, LogFormat: "text",
		TrainParallel: 1, TrainShare: 0.1, TrainCgroup: auto, TrainUpload: 4 << 30,
		LogFileBytes: 64 << 20, LogKeepBytes: 1 << 30, OTLPRatio: 1,
	}
}

func (s *settings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.Models, "models", s.Models, "the folder of models: <model>/<version>/model.onnx, optional <model>/config.pbtxt")
	f.StringVar(&s.HTTP, "http", s.HTTP, "HTTP address [host]:port, or off")
	f.StringVar(&s.GRPC, "grpc", s.GRPC, "gRPC address [host]:port, or off")
	f.StringVar(&s.Metrics, "metrics", s.Metrics, "Prometheus address [host]:port, or off")
	f.StringVar(&s.AdminTokenFile, "admin-token-file", s.AdminTokenFile, "file with the bearer token that lets others than loopback change the server")
	f.StringVar(&s.ModelKeys, "model-keys", s.ModelKeys, "keys that open sealed models: file:PATH, env:NAME or command:LINE")
	f.StringVar(&s.TrustedSigners, "trusted-signers", s.TrustedSigners, "file with public keys, one a line: only versions that one of them signed are served")
	f.BoolVar(&s.StrictConfig, "strict-config", s.StrictConfig, "make an unknown field of config.pbtxt an error")
	f.DurationVar(&s.Poll, "poll", s.Poll, "look for changed models this often; 0: never")
	f.BoolVar(&s.WarmupOff, "no-warmup", s.WarmupOff, "make models ready without running them once")
	f.IntVar(&s.Threads, "threads", s.Threads, "cores to compute on; 0: all that the process may use")
	f.StringVar(&s.Device, "device", s.Device, "where models run: cpu, cuda (an error without a GPU), or auto: on GPUs where there are any")
	f.StringVar(&s.GPUs, "gpus", s.GPUs, "the GPUs to use, by number or UUID with commas between; empty: all")
	f.StringVar(&s.FatalXIDs, "fatal-xids", s.FatalXIDs, "the driver's XID errors after which a GPU is taken out, such as 48,79, or none; empty: those of docs/gpu.md")
	f.IntVar(&s.MaxBatchRows, "max-batch-rows", s.MaxBatchRows, "rows of a batch made of several requests, where a model's config says nothing")
	f.IntVar(&s.MaxQueue, "max-queue", s.MaxQueue, "requests that may wait for one model, where its config says nothing")
	f.Int64Var(&s.ModelBytes, "model-bytes", s.ModelBytes, "load models when they are asked for, and keep at most so many bytes of them: the least recently used leave; 0: load all at the start")
	f.Int64Var(&s.CacheBytes, "cache-bytes", s.CacheBytes, "memory of the prediction cache, for models with response_cache")
	f.StringVar(&s.CacheRedis, "cache-redis", s.CacheRedis, "second tier of the cache, shared by replicas: redis://[user:password@]host:port[/db] (Redis or Valkey); may fail without a request failing")
	f.DurationVar(&s.CacheRedisTTL, "cache-redis-ttl", s.CacheRedisTTL, "how long it keeps an answer")
	f.DurationVar(&s.CacheRedisWait, "cache-redis-timeout", s.CacheRedisWait, "how long to wait for it")
	f.IntVar(&s.MaxInput, "http-max-input-size", s.MaxInput, "largest request body in bytes, as sent and decompressed")
	f.Int64Var(&s.MaxBundle, "max-bundle-size", s.MaxBundle, "largest bundle of a version that may be uploaded, in bytes; it may unpack to four times as much")
	f.BoolVar(&s.IgnoreClosed, "http-ignore-closed", s.IgnoreClosed, "run waiting requests though their client has closed its connection or its sending half")
	f.DurationVar(&s.Grace, "grace", s.Grace, "how long to go on serving, not ready, after SIGTERM")
	f.DurationVar(&s.DrainTimeout, "drain-timeout", s.DrainTimeout, "how long to wait for requests in flight after that")
	f.StringVar(&s.LogFormat, "log-format", s.LogFormat, "text or json")
	f.BoolVar(&s.AccessLog, "access-log", s.AccessLog, "log every request, not only those that fail")
	f.IntVar(&s.LogVerbose, "log-verbose", s.LogVerbose, "1: log each request at each stage of its way")
	f.StringVar(&s.LogDir, "log-dir", s.LogDir, "keep the log in files here, for GET /v2/logs; empty: the latest lines in memory")
	f.Int64Var(&s.LogFileBytes, "log-file-bytes", s.LogFileBytes, "size at which a log file is closed and compressed")
	f.Int64Var(&s.LogKeepBytes, "log-keep-bytes", s.LogKeepBytes, "size of all log files together; beyond it the oldest are removed")
	f.StringVar(&s.OTLPEndpoint, "otlp-endpoint", s.OTLPEndpoint, "send traces to this OpenTelemetry collector, such as http://127.0.0.1:4318; empty: none")
	f.Float64Var(&s.OTLPRatio, "otlp-ratio", s.OTLPRatio, "part of the requests to trace, 0 to 1, where the caller has not decided")
	f.BoolVar(&s.AllowShm, "allow-client-shm", s.AllowShm, "let clients of this machine register shared memory for inputs and outputs")
	f.StringVar(&s.ShmPrefix, "client-shm-prefix", s.ShmPrefix, "what keys of their shared memory must begin with (after the slash), so that they reach no other")
	f.BoolVar(&s.NoTritonNames, "no-triton-metrics", s.NoTritonNames, "leave out the metrics under Triton's names")
	f.StringVar(&s.TrainDir, "train-dir", s.TrainDir, "folder of training jobs and data snapshots, or off; default: the folder of models with .train added")
	f.StringVar(&s.TrainData, "train-data", s.TrainData, "folder whose files a training job may name by path; none by default")
	f.IntVar(&s.TrainParallel, "train-parallel", s.TrainParallel, "training jobs that run at once")
	f.IntVar(&s.TrainWorkers, "train-workers", s.TrainWorkers, "cores that a training job computes on; 0: one less than there are")
	f.Float64Var(&s.TrainShare, "train-share", s.TrainShare, "part of the time in which training jobs run while requests come, 0.01 to 1; 1: always, at the cost of the requests' latency")
	f.StringVar(&s.TrainCgroup, "train-cgroup", s.TrainCgroup, "folder of control groups (version 2) that holds the limits of training programs; auto: the one above the server's own, where it may be used; off")
	f.Int64Var(&s.TrainUpload, "train-upload-bytes", s.TrainUpload, "largest upload of training data")
}

// loadSettings puts the sources together: flag before environment before file before
// default. file may be empty.
func loadSettings(file string, flags *pflag.FlagSet, environ []string) (settings, error) {
	s := defaultSettings()
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return s, fmt.Errorf("--config: %w", err)
		}
		d := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict())
		if err := d.Decode(&s); err != nil {
			return s, fmt.Errorf("--config %s: %w", file, errors.New(yaml.FormatError(err, false, true)))
		}
	}
	all := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	s.flags(all)
	for _, e := range environ {
		k, v, _ := strings.Cut(e, "=")
		name, ours := strings.CutPrefix(k, "AIMASS_")
		if !ours {
			continue
		}
		if f := all.Lookup(strings.ReplaceAll(strings.ToLower(name), "_", "-")); f != nil {
			if err := f.Value.Set(v); err != nil {
				return s, fmt.Errorf("environment %s=%q: %w", k, v, err)
			}
		}
	}
	var err error
	flags.Visit(func(f *pflag.Flag) {
		if t := all.Lookup(f.Name); t != nil && err == nil {
			err = t.Value.Set(f.Value.String())
		}
	})
	if err == nil {
		err = s.check()
	}
	return s, err
}

// check refuses what no room takes, by the name that the operator gave it.
func (s settings) check() error {
	for _, n := range []struct {
		name         string
		value, least int64
	}{
		{"threads", int64(s.Threads), 0}, {"max-batch-rows", int64(s.MaxBatchRows), 1}, {"max-queue", int64(s.MaxQueue), 1}, {"model-bytes", s.ModelBytes, 0},
		{"cache-bytes", s.CacheBytes, 0}, {"http-max-input-size", int64(s.MaxInput), 1024}, {"max-bundle-size", s.MaxBundle, 1}, {"log-verbose", int64(s.LogVerbose), 0},
		{"log-file-bytes", s.LogFileBytes, 1024}, {"log-keep-bytes", s.LogKeepBytes, s.LogFileBytes},
		{"train-parallel", int64(s.TrainParallel), 1}, {"train-workers", int64(s.TrainWorkers), 0}, {"train-upload-bytes", s.TrainUpload, 1},
	} {
		if n.value < n.least {
			return fmt.Errorf("--%s is %d: expected at least %d", n.name, n.value, n.least)
		}
	}
	if s.CacheBytes > 0 && s.CacheBytes < cache.LeastBytes {
		return fmt.Errorf("--cache-bytes is %d: expected at least %d (1 MiB), or 0 for no cache", s.CacheBytes, cache.LeastBytes)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"poll", s.Poll}, {"grace", s.Grace}, {"drain-timeout", s.DrainTimeout}, {"cache-redis-ttl", s.CacheRedisTTL}, {"cache-redis-timeout", s.CacheRedisWait}} {
		if d.value < 0 {
			return fmt.Errorf("--%s is %v: expected no negative time", d.name, d.value)
		}
	}
	for _, r := range []struct {
		name         string
		value, least float64
	}{{"otlp-ratio", s.OTLPRatio, 0}, {"train-share", s.TrainShare, .01}} {
		if !(r.value >= r.least && r.value <= 1) {
			return fmt.Errorf("--%s is %v: expected %v to 1", r.name, r.value, r.least)
		}
	}
	return nil
}

// checkFolders refuses folders that are not there.
func (s settings) checkFolders() error {
	if s.Models == "" {
		return errors.New("no models: give --models DIR, a folder of <model>/<version>/model.onnx")
	}
	for _, d := range []struct{ name, path, holds string }{{"models", s.Models, ": expected <model>/<version>/model.onnx in it"}, {"train-data", s.TrainData, ""}} {
		if st, err := os.Stat(d.path); d.path != "" && (err != nil || !st.IsDir()) {
			return fmt.Errorf("--%s %s is no folder%s", d.name, d.path, d.holds)
		}
	}
	return nil
}

// print writes the settings in force as a configuration file.
func (s settings) print() (string, error) {
	if u, err := url.Parse(s.CacheRedis); err == nil && u.User != nil {
		s.CacheRedis = u.Redacted()
	}
	b, err := yaml.Marshal(s)
	return string(b), err
}
