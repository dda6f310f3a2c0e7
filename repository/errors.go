package repository

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/ops"
)

// problemCodes maps what the ONNX reader says to codes.
var problemCodes = map[onnx.Problem]api.Code{
	onnx.Malformed: api.CodeModelInvalid, onnx.Truncated: api.CodeModelTruncated, onnx.Cyclic: api.CodeModelCyclic,
	onnx.TooLarge: api.CodeModelTooLarge, onnx.Weights: api.CodeModelWeightsMismatch, onnx.Unsupported: api.CodeUnsupportedOperator,
}

// errPacked is the reason for which a file compressed with zstd is refused.
var errPacked = errors.New("it does not unpack")

// openError gives an error of the runtime a code. file is what was opened.
func openError(err error, file string) error {
	var coded *api.Error
	var disk *fs.PathError
	switch {
	case errors.As(err, &coded), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.ENOMEM):
		return api.Wrap(api.CodeOutOfMemory, err, "there is not enough memory to load %s", file)
	case errors.Is(err, seal.ErrKey):
		return api.Errorf(api.CodeModelKeyMissing, "%s: %w", file, err)
	case errors.Is(err, seal.ErrSignature):
		return api.Errorf(api.CodeSignatureInvalid, "%s: %w", file, err)
	case errors.Is(err, seal.ErrForged), errors.Is(err, seal.ErrFormat):
		return api.Errorf(api.CodeModelForged, "%s: %w", file, err)
	case errors.Is(err, errPacked):
		return api.Errorf(api.CodeModelInvalid, "%s: %w", file, err)
	case errors.As(err, &disk), errors.Is(err, fs.ErrNotExist):
		return api.Wrap(api.CodeLoadFailed, err, "%s can't be read", file)
	case errors.Is(err, ops.ErrUnsupported):
		return api.Errorf(api.CodeUnsupportedOperator, "%s: %w", file, err)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return api.Wrap(api.CodeLoadFailed, err, "%s can't be read", file)
	}
	return api.Errorf(problemCodes[onnx.ProblemOf(err)], "%s: %w", file, err)
}

// failed makes the error of an operation on a model that its caller sees: the code of the
// error within, and a text without paths of the server.
func (r *Repository) failed(doing, name string, version int64, err error) error {
	code, text := api.CodeOf(err), api.Message(err)
	if code == api.CodeInternal {
		code, text = api.CodeLoadFailed, "the server failed, its log has the cause"
	}
	where := fmt.Sprintf("failed to %s '%s'", doing, name)
	if version != 0 {
		where += fmt.Sprintf(" version %d", version)
	}
	if err.Error() == text {
		return api.Errorf(code, "%s: %s", where, r.scrub(text))
	}
	return api.Wrap(code, err, "%s: %s", where, r.scrub(text)) // there is more for the log
}

// scrub makes paths below the repository relative to it, and hides its own.
func (r *Repository) scrub(text string) string {
	text = strings.ReplaceAll(text, r.cfg.Dir+string(filepath.Separator), "")
	return strings.ReplaceAll(text, r.cfg.Dir, ".")
}
