package gpu

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/aimass/aimass/cuda/driver"
	"github.com/aimass/aimass/cuda/kernel"
)

// Probe lets a device take a context, load kernels and compute, and gives the memory that is free
// there. What it finds wrong has a code of the error table.
func Probe(drv *driver.Driver, device int) (free int64, err error) {
	ctx, err := drv.Context(device)
	if err != nil {
		return 0, Coded(err)
	}
	defer func() { err = Coded(errors.Join(err, ctx.Close())) }()
	if free, _, err = ctx.Memory(); err != nil {
		return 0, err
	}
	// 1, 2 and 3 in float32 and in float16.
	in, want := []byte{0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64}, []byte{0, 60, 0, 64, 0, 66}
	at, err := ctx.Alloc(int64(len(in) + len(want)))
	if err != nil {
		return free, err
	}
	defer func() { err = errors.Join(err, ctx.Free(at)) }()
	to := at + 12
	list, err := kernel.AppendCast(nil, "f32", "f16", at, to, 3)
	if err != nil {
		return free, err
	}
	got := make([]byte, len(want))
	if err := errors.Join(ctx.Upload(at, in), ctx.Run(list...), ctx.Download(got, to)); err != nil {
		return free, err
	}
	if !bytes.Equal(got, want) {
		return free, fmt.Errorf("%v computes wrongly: 1, 2 and 3 became % x in float16, and are % x", ctx.Info(), got, want)
	}
	return free, nil
}
