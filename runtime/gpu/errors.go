package gpu

import (
	"errors"
	"fmt"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/cuda/driver"
)

// errNoneLeft: all devices that a program may use were taken out.
var errNoneLeft = errors.New("no GPU is left")

// noneLeft is errNoneLeft with why.
func (d *Device) noneLeft() error {
	err := errNoneLeft
	for _, g := range d.gpus {
		if why := g.lost.Load(); why != nil {
			err = fmt.Errorf("%w: %v was taken out: %s", err, g.info, *why)
		}
	}
	return err
}

// errTooOld: a device is older than the kernels.
var errTooOld = errors.New("the compute capability is too low")

// noRoom is the error of a model that the devices' memory does not hold.
type noRoom struct {
	need, have int64
	devices    int
}

func (e *noRoom) Error() string {
	return fmt.Sprintf("the model's weights take %d bytes, the %d devices have room for %d", e.need, e.devices, e.have)
}

// unsuited says why a layout that nobody asked for is not taken.
type unsuited struct{ why string }

func (e *unsuited) Error() string { return e.why }

// defect is a panic while a plan was made, which any device would meet.
type defect struct{ error }

// guarded calls what makes plans: a defect there, or shapes that a rule did not expect, must not take the
// server down, no more than on the CPU.
func (p *program) guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &defect{fmt.Errorf("BUG: gpu: planning a run: %v", r)}
			p.dev.log.Error("a run can't be planned for a GPU", "graph", p.m.g.Name, "error", err)
		}
	}()
	return f()
}

// Coded gives an error of the driver, or of placing a model, its code of the error table. What has
// one, and what no device is to blame for, stays as it is.
func Coded(err error) error {
	var have *api.Error
	var mistake *modelError
	if err == nil || errors.As(err, &have) || errors.As(err, &mistake) {
		return err
	}
	code := codeOf(err)
	if code == "" {
		return err
	}
	return api.Errorf(code, "%w", err)
}

func codeOf(err error) api.Code {
	var room *noRoom
	var call *driver.Error
	switch {
	case errors.Is(err, driver.ErrNoCUDA):
		return api.CodeGPUNotBuilt
	case errors.Is(err, driver.ErrNoDriver):
		return api.CodeGPUNoDriver
	case errors.Is(err, driver.ErrDriverFailed):
		return api.CodeGPUDriverFailed
	case errors.Is(err, driver.ErrKernelsRefused):
		return api.CodeGPUKernelsRefused
	case errors.Is(err, driver.ErrDriverTooOld):
		return api.CodeGPUDriverTooOld
	case errors.Is(err, errTooOld):
		return api.CodeGPUTooOld
	case errors.Is(err, driver.ErrNoDevice):
		return api.CodeGPUNoDevice
	case errors.As(err, &room), errors.Is(err, driver.OutOfMemory):
		return api.CodeGPUOutOfMemory
	case errors.Is(err, errLost), errors.Is(err, errNoneLeft), driver.Sticky(err):
		return api.CodeGPULost
	case errors.As(err, &call):
		return api.CodeGPUFailed
	}
	return ""
}
