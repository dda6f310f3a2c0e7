package train

import "fmt"

// Codes of what can be wrong with a job. They are stable: callers may branch on
// them.
const (
	CodeTrainerUnknown   = "trainer_unknown"
	CodeParameterInvalid = "training_parameter_invalid"
	CodeDataUnreadable   = "training_data_unreadable"
	CodeDataChecksum     = "training_data_checksum"
	CodeColumnMissing    = "training_column_missing"
	CodeValueInvalid     = "training_value_invalid"
	CodeDuplicate        = "training_row_duplicate"
	CodeOneClass         = "training_one_class"
	CodeFutureOutcome    = "training_future_outcome"
	CodeTooFewRows       = "training_too_few_rows"
	CodeGateMissed       = "training_gate_missed"
	CodeWriteFailed      = "training_write_failed"
)

// Error is a failure with a stable code.
type Error struct {
	Code string
	Text string
	// Err is the cause, if there is one.
	Err error
}

// Error gives the text with its cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error without a cause.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error of a cause.
func Wrap(err error, code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...), Err: err}
}
