//go:build !cuda || !cgo

package driver

import "github.com/aimass/aimass/cuda"

// Driver is the stub of a binary without CUDA; there are none.
type Driver struct{}

// Context is the stub of a binary without CUDA; there are none.
type Context struct{}

// Open returns ErrNoCUDA.
func Open() (*Driver, error) { return nil, ErrNoCUDA }

func (*Driver) Devices() []Info                         { return nil }
func (*Driver) Version() int                            { return 0 }
func (*Driver) Context(int) (*Context, error)           { return nil, ErrNoCUDA }
func (*Context) Load(string, []byte) error              { return ErrNoCUDA }
func (*Context) Alloc(int64) (cuda.Ptr, error)          { return 0, ErrNoCUDA }
func (*Context) Free(cuda.Ptr) error                    { return ErrNoCUDA }
func (*Context) Upload(cuda.Ptr, []byte) error          { return ErrNoCUDA }
func (*Context) Download([]byte, cuda.Ptr) error        { return ErrNoCUDA }
func (*Context) Run(...cuda.Launch) error               { return ErrNoCUDA }
func (*Context) Memory() (free, total int64, err error) { return 0, 0, ErrNoCUDA }
func (*Context) Close() error                           { return nil }
