//go:build !cuda || !cgo

package driver

import "github.com/aimass/aimass/cuda"

// Without CUDA Open never gives a Driver, so nothing below is ever called.
type (
	Driver  struct{}
	Context struct{}
	Lane    struct{}
	Graph   struct{}
	Copies  struct{}
	Event   struct{}
)

// Open returns ErrNoCUDA.
func Open() (*Driver, error) { return nil, ErrNoCUDA }

func (*Driver) Devices() []Info                         { return nil }
func (*Driver) Version() int                            { return 0 }
func (*Driver) Context(int) (*Context, error)           { return nil, ErrNoCUDA }
func (*Context) Info() Info                             { return Info{} }
func (*Context) Load(string, []byte) error              { return ErrNoCUDA }
func (*Context) Alloc(int64) (cuda.Ptr, error)          { return 0, ErrNoCUDA }
func (*Context) Free(cuda.Ptr) error                    { return ErrNoCUDA }
func (*Context) Bytes() int64                           { return 0 }
func (*Context) Memory() (free, total int64, err error) { return 0, 0, ErrNoCUDA }
func (*Context) Upload(cuda.Ptr, []byte) error          { return ErrNoCUDA }
func (*Context) Download([]byte, cuda.Ptr) error        { return ErrNoCUDA }
func (*Context) Run(...cuda.Launch) error               { return ErrNoCUDA }
func (*Context) Pinned(int) ([]byte, error)             { return nil, ErrNoCUDA }
func (*Context) Unpin([]byte) error                     { return ErrNoCUDA }
func (*Context) Reach(*Context) (bool, error)           { return false, ErrNoCUDA }
func (*Context) Lane() (*Lane, error)                   { return nil, ErrNoCUDA }
func (*Context) Trim() error                            { return ErrNoCUDA }
func (*Context) Close() error                           { return nil }
func (*Lane) Do(func() error) error                     { return ErrNoCUDA }
func (*Lane) Alloc(int64) (cuda.Ptr, error)             { return 0, ErrNoCUDA }
func (*Lane) Free(cuda.Ptr) error                       { return ErrNoCUDA }
func (*Lane) Launch([]cuda.Launch) error                { return ErrNoCUDA }
func (*Lane) Sync() error                               { return ErrNoCUDA }
func (*Lane) Capture([]cuda.Launch) (*Graph, error)     { return nil, ErrNoCUDA }
func (*Lane) Drop(*Graph) error                         { return ErrNoCUDA }
func (*Lane) Event() (*Event, error)                    { return nil, ErrNoCUDA }
func (*Lane) Enqueue([]*Event, *Copies, *Graph, *Copies, *Event) error {
	return ErrNoCUDA
}
func (*Lane) Execute(*Copies, *Graph, *Copies) error    { return ErrNoCUDA }
func (*Copies) In(cuda.Ptr, []byte)                     {}
func (*Copies) Out([]byte, cuda.Ptr)                    {}
func (*Copies) Peer(_, _ cuda.Ptr, _ *Context, _ int64) {}
