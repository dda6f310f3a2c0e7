package appointment

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aimass/aimass/api"
)

// Code is the stable name of one kind of bad input, a row of the server's one error
// table (api/errors.yaml), which has its text, its statuses and its advice.
type Code = api.Code

// The codes of this room.
const (
	CodeBookedAfterDay      = api.CodeApptBookedAfterDay
	CodeBadAge              = api.CodeApptBadAge
	CodeNotFinite           = api.CodeApptNotFinite
	CodeBadProbability      = api.CodeApptBadProbability
	CodeFeatureCount        = api.CodeApptFeatureCount
	CodeRaggedBatch         = api.CodeApptRaggedBatch
	CodeEmptyBatch          = api.CodeApptEmptyBatch
	CodeBadHistory          = api.CodeApptBadHistory
	CodeDuplicateID         = api.CodeApptDuplicateId
	CodeBadSession          = api.CodeApptBadSession
	CodeBadGrid             = api.CodeApptBadGrid
	CodeNoPatients          = api.CodeApptNoPatients
	CodeTooLarge            = api.CodeApptTooLarge
	CodeBadServiceMean      = api.CodeApptBadServiceMean
	CodeBadServiceCV        = api.CodeApptBadServiceCv
	CodeNegativeWeight      = api.CodeApptNegativeWeight
	CodeZeroWeights         = api.CodeApptZeroWeights
	CodeMaskEmpty           = api.CodeApptMaskEmpty
	CodeBadPlan             = api.CodeApptBadPlan
	CodeBadGroup            = api.CodeApptBadGroup
	CodeBadGuarantee        = api.CodeApptBadGuarantee
	CodePriorDoctorRange    = api.CodeApptPriorDoctorRange
	CodeBadUrgency          = api.CodeApptBadUrgency
	CodeBadSeat             = api.CodeApptBadSeat
	CodeTimestampZone       = api.CodeApptTimestampZone
	CodeTimestampGap        = api.CodeApptTimestampGap
	CodeTimestampFormat     = api.CodeApptTimestampFormat
	CodeDataMissingColumn   = api.CodeApptDataMissingColumn
	CodeDataChecksum        = api.CodeApptDataChecksum
	CodeDataBadRow          = api.CodeApptDataBadRow
	CodeOverlappingSlots    = api.CodeApptOverlappingSlots
	CodeDoctorWithoutHours  = api.CodeApptDoctorWithoutHours
	CodeBookingInPast       = api.CodeApptBookingInPast
	CodeClockJump           = api.CodeApptClockJump
	CodeSlotTaken           = api.CodeApptSlotTaken
	CodeHoldExpired         = api.CodeApptHoldExpired
	CodeBadTransition       = api.CodeApptBadTransition
	CodeStoreFailed         = api.CodeApptStoreFailed
	CodeNotEnoughCalibrated = api.CodeApptNotEnoughCalibration
	CodeUnknownNeed         = api.CodeApptUnknownNeed
	CodeBadDiary            = api.CodeApptBadDiary
	CodeNotFound            = api.CodeApptNotFound
	CodeBadClinic           = api.CodeApptBadClinic
	CodeVersionConflict     = api.CodeApptVersionConflict
	CodeBadRating           = api.CodeApptBadRating
	CodeBadPayment          = api.CodeApptBadPayment
	CodePaymentSignature    = api.CodeApptPaymentSignature
)

// Codes returns the codes of this room in the order of the error table. The slice
// is the caller's.
func Codes() []api.Info {
	var out []api.Info
	for _, row := range api.Table() {
		if strings.HasPrefix(string(row.Code), "appt_") {
			out = append(out, row)
		}
	}
	return out
}

// Error is bad input with its stable code. Field names the input or column,
// Detail says which value at which place.
type Error struct {
	Code   Code
	Field  string
	Detail string
}

// Error gives one line: field, what is wrong, detail and code.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s (%s) [%s]", e.Field, e.text(), e.Detail, e.Code)
}

// text is the table's sentence as a part of a longer one.
func (e *Error) text() string {
	info := e.Code.Info()
	if !e.Code.Known() {
		return string(e.Code)
	}
	s := strings.TrimSuffix(info.Meaning, ".")
	return strings.ToLower(s[:1]) + s[1:]
}

// Public returns err as the server shows it: the first [Error] in its chain becomes
// an api.Error of the same code whose text is all of err's. Other errors stay as
// they are.
func Public(err error) error {
	if code := CodeOf(err); code != "" {
		return api.Errorf(code, "%w", err)
	}
	return err
}

// Errorf makes an [Error]; format and args give its detail.
func Errorf(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first [Error] in err's chain, or "".
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
