package repository

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/repository/store"
	"github.com/aimass/aimass/runtime"
)

// Config sets a repository up.
type Config struct {
	// Dir is the folder that holds the models' folders.
	Dir string
	// StrictConfig makes an unknown field in a configuration an error.
	StrictConfig bool
	// Poll looks for new, changed and removed models at this interval; 0: never. A change
	// is taken up once two looks agree on it, so that a copy in progress is left alone.
	Poll time.Duration
	// LoadParallel bounds the versions that are loaded at once. Default: the cores.
	LoadParallel int
	// WarmupOff makes versions ready without warm-up, configured ones included.
	WarmupOff bool
	// WarmupRows is the greatest batch that the server makes up to warm a version up with
	// batches of 1, 2, 4 … rows. Default 64.
	WarmupRows int
	// WarmupBudget ends those made-up batches when the next would take longer; the first
	// always runs. Default 2 s.
	WarmupBudget time.Duration
	// Keys open sealed model files; nil: none can be opened.
	Keys *seal.Keyring
	// Trusted, where it is not empty, has only versions served that one of these keys
	// signed (seal.Sign), native models included.
	Trusted []ed25519.PublicKey
	// Storage keeps uploads and release states. Default: a store.Directory in Dir.
	Storage store.Storage
	// MaxBytes, if not 0, has models loaded when they are asked for (Demand), and bounds what
	// the loaded ones take: the least recently used leave. Default 0: all are loaded at once.
	MaxBytes int64
	// Digests has every version with a model file carry a digest of it, which costs a reading
	// of its files when it is loaded.
	Digests bool
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.LoadParallel == 0 {
		c.LoadParallel = goruntime.GOMAXPROCS(0)
	}
	if c.WarmupRows == 0 {
		c.WarmupRows = 64
	}
	if c.WarmupBudget == 0 {
		c.WarmupBudget = 2 * time.Second
	}
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("repository: no folder is given")
	case c.MaxBytes < 0:
		return errors.New("repository: MaxBytes is negative")
	case c.Poll < 0:
		return errors.New("repository: Poll is negative")
	case c.Poll > 0 && c.Poll < 10*time.Millisecond:
		return errors.New("repository: Poll must be at least 10 ms")
	case c.LoadParallel < 1:
		return errors.New("repository: LoadParallel must be at least 1")
	case c.WarmupRows < 1 || c.WarmupBudget < 0:
		return errors.New("repository: the warm-up needs at least one row and a budget that is not negative")
	}
	return nil
}

// ModelConfig is the complete configuration of a version.
type ModelConfig = config.Config

// Version is a version that is loaded. Its fields don't change.
type Version struct {
	Model   string
	Number  int64
	Config  *ModelConfig
	Runtime *runtime.Model
	// LoadedAt is when it was ready; LoadDuration what reading and compiling took,
	// WarmupDuration what came after.
	LoadedAt       time.Time
	LoadDuration   time.Duration
	WarmupDuration time.Duration
	// Warm says that it has been warmed up, so that planning costs little.
	Warm bool
	// Digest is a hash of the configuration and of the version's files, with Config.Digests; a
	// version whose answers other files or models decide, too, has none.
	Digest string
	stamp  string
	read   func(name string) ([]byte, error)
}

// Read gives a whole file of the version's folder by its slash-separated path, as it is now,
// with an error that is fs.ErrNotExist where there is none.
func (v *Version) Read(name string) ([]byte, error) {
	if v.read == nil {
		return nil, fs.ErrNotExist
	}
	return v.read(path.Join(strconv.FormatInt(v.Number, 10), name))
}

// Listener is told of versions that come and go. For one version Ready comes before
// Gone, each once; calls for different versions may come at once.
type Listener interface {
	// Ready is called after load and warm-up and makes the version visible, in place of
	// one of the same number, if any. After an error it must not be visible; the old
	// version goes on serving.
	Ready(v *Version) error
	// Gone takes the version out of the served set, if Ready of another of the same
	// number hasn't already, and returns when nothing uses v any more. v is then closed.
	Gone(v *Version)
	// Release says what is decided about a model's versions. It is called before the first
	// of them is ready, and when it has changed and what it names is ready.
	Release(model string, s *release.State)
}

// Repository holds the models of one folder.
type Repository struct {
	cfg      Config
	engine   *runtime.Engine
	log      *slog.Logger
	listener Listener
	slots    chan struct{} // one token a load
	drains   sync.WaitGroup
	memory   reclaimer
	grace    time.Duration // how long Load waits for the requests of versions that it replaced

	mu     sync.Mutex
	models map[string]*model
	closed bool
}

// model is one model name.
type model struct {
	name string
	turn chan struct{} // holds one token; operations take it
	// The rest is guarded by Repository.mu.
	slots    map[int64]*slot
	loading  bool   // versions are not known yet
	reason   string // why there are no versions
	stamp    string // of the folder when it was last acted on
	unloaded bool   // by a caller: changes on disk don't bring it back
	override *Override
	failedAt time.Time // when it could not be loaded on demand
}

// New makes a repository with nothing loaded. engine opens the models; log may be nil.
func New(cfg Config, engine *runtime.Engine, log *slog.Logger) (*Repository, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("repository: %w", err)
	}
	cfg.Dir = dir
	if cfg.Storage == nil {
		cfg.Storage = store.New(store.Config{Dir: dir})
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("repository: %w", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("repository: %s is not a folder", dir)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Repository{cfg: cfg, engine: engine, log: log, listener: nobody{}, slots: make(chan struct{}, cfg.LoadParallel), grace: time.Second, models: map[string]*model{}}, nil
}

// nobody is the listener until there is one.
type nobody struct{}

func (nobody) Ready(*Version) error           { return nil }
func (nobody) Gone(*Version)                  {}
func (nobody) Release(string, *release.State) {}

// SetListener says who is told of versions. It is called once, before anything is loaded.
func (r *Repository) SetListener(l Listener) { r.listener = l }

// IndexEntry is one version in the index.
type IndexEntry struct {
	Name string
	// Version is 0 for a model none of whose versions is known.
	Version int64
	State   State
	// Reason says why a version is not ready; of a ready one, why its last reload failed.
	Reason string
}

// Index lists every version known, sorted by name and version.
func (r *Repository) Index() []IndexEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []IndexEntry
	for name, m := range r.models {
		if len(m.slots) == 0 {
			out = append(out, IndexEntry{Name: name, State: m.state(), Reason: m.reason})
		}
		for n, s := range m.slots {
			e := IndexEntry{Name: name, Version: n, State: s.state(), Reason: s.reason}
			if e.Reason == "" {
				e.Reason = m.reason
			}
			out = append(out, e)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Name != out[j].Name {
			return out[i].Name < out[j].Name
		}
		return out[i].Version < out[j].Version
	})
	return out
}

// State tells of one version, or with version 0 of the model: its best version's state.
// It is Unknown for what the repository doesn't have. The reason is as in IndexEntry.
func (r *Repository) State(name string, version int64) (State, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.models[name]
	if m == nil {
		return Unknown, ""
	}
	if version != 0 {
		if s := m.slots[version]; s != nil {
			return s.state(), s.reason
		}
		return Unknown, ""
	}
	best, reason := m.state(), m.reason
	newest := int64(0)
	for n, s := range m.slots {
		if st := s.state(); st > best || st == best && n > newest {
			best, newest = st, n
			if s.reason != "" {
				reason = s.reason
			}
		}
	}
	if best == Ready {
		reason = ""
	}
	return best, reason
}

// state is that of a model without versions.
func (m *model) state() State {
	if m.loading {
		return Loading
	}
	return Unavailable
}

// Serving gives the version that serves, nil if none: the one of that number, or with
// version 0 the newest. It may leave at any time; to use it, go through the listener.
func (r *Repository) Serving(name string, version int64) *Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.models[name]
	if m == nil {
		return nil
	}
	var best *Version
	for n, s := range m.slots {
		if s.serving != nil && (version == n || version == 0 && (best == nil || n > best.Number)) {
			best = s.serving
		}
	}
	return best
}

func newModel(name string) *model {
	m := &model{name: name, turn: make(chan struct{}, 1), slots: map[int64]*slot{}}
	m.turn <- struct{}{}
	return m
}

// enter takes the turn on a model; leave must be called. With create it makes the entry
// if there is none, and fails once the repository is closed; without, it fails with
// model_not_found. It fails with the context.
func (r *Repository) enter(ctx context.Context, name string, create bool) (*model, error) {
	for {
		r.mu.Lock()
		m := r.models[name]
		if m == nil {
			if !create {
				r.mu.Unlock()
				return nil, api.Errorf(api.CodeModelNotFound, "there is no model '%s' in the repository", name)
			}
			m = newModel(name)
			r.models[name] = m
		}
		r.mu.Unlock()
		select {
		case <-m.turn:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another operation on model '%s': %w", name, ctx.Err())
		}
		r.mu.Lock()
		current, closed := r.models[name] == m, r.closed
		r.mu.Unlock()
		if current && !(closed && create) {
			return m, nil
		}
		m.turn <- struct{}{} // the entry was dropped meanwhile, or all is
		if closed && create {
			return nil, api.Errorf(api.CodeShuttingDown, "the server is stopping")
		}
	}
}

// leave gives the turn back. An entry that says nothing is dropped, so that asking for
// models that don't exist leaves nothing behind.
func (r *Repository) leave(m *model) {
	r.mu.Lock()
	if len(m.slots) == 0 && m.reason == "" {
		delete(r.models, m.name)
	}
	r.mu.Unlock()
	m.turn <- struct{}{}
}

// Close unloads everything and waits until it is gone, or for the context. Afterwards
// nothing can be loaded. Loads that are under way are waited for.
func (r *Repository) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	var names []string
	for name := range r.models {
		names = append(names, name)
	}
	r.mu.Unlock()
	var errs []error
	for _, name := range names {
		if m, err := r.enter(ctx, name, false); err == nil {
			r.retire(m, func(int64) bool { return true }, "the server is stopping")
			r.leave(m)
		} else if api.CodeOf(err) != api.CodeModelNotFound {
			errs = append(errs, err)
		}
	}
	done := make(chan struct{})
	go func() { r.drains.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		errs = append(errs, ctx.Err())
	}
	return errors.Join(errs...)
}
