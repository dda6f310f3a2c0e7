package appointment

import (
	"errors"
	"fmt"
)

// Code is the stable name of one kind of bad input. It goes out in error bodies,
// so a code is never renamed and never reused for another meaning.
type Code string

// The codes. Text and advice for each are in [Codes].
const (
	CodeBookedAfterDay      Code = "appt_booked_after_day"
	CodeBadAge              Code = "appt_bad_age"
	CodeNotFinite           Code = "appt_not_finite"
	CodeBadProbability      Code = "appt_bad_probability"
	CodeFeatureCount        Code = "appt_feature_count"
	CodeFeatureType         Code = "appt_feature_type"
	CodeRaggedBatch         Code = "appt_ragged_batch"
	CodeEmptyBatch          Code = "appt_empty_batch"
	CodeBadHistory          Code = "appt_bad_history"
	CodeDuplicateID         Code = "appt_duplicate_id"
	CodeBadSession          Code = "appt_bad_session"
	CodeBadGrid             Code = "appt_bad_grid"
	CodeNoPatients          Code = "appt_no_patients"
	CodeTooLarge            Code = "appt_too_large"
	CodeBadServiceMean      Code = "appt_bad_service_mean"
	CodeBadServiceCV        Code = "appt_bad_service_cv"
	CodeNegativeWeight      Code = "appt_negative_weight"
	CodeZeroWeights         Code = "appt_zero_weights"
	CodeMaskEmpty           Code = "appt_mask_empty"
	CodeBadPlan             Code = "appt_bad_plan"
	CodeBadGroup            Code = "appt_bad_group"
	CodeBadGuarantee        Code = "appt_bad_guarantee"
	CodePriorDoctorRange    Code = "appt_prior_doctor_range"
	CodeBadUrgency          Code = "appt_bad_urgency"
	CodeBadSeat             Code = "appt_bad_seat"
	CodeTimestampZone       Code = "appt_timestamp_zone"
	CodeTimestampGap        Code = "appt_timestamp_gap"
	CodeTimestampFormat     Code = "appt_timestamp_format"
	CodeDataOneClass        Code = "appt_data_one_class"
	CodeDataFutureOutcome   Code = "appt_data_future_outcome"
	CodeDataMissingColumn   Code = "appt_data_missing_column"
	CodeDataChecksum        Code = "appt_data_checksum"
	CodeDataBadRow          Code = "appt_data_bad_row"
	CodeOverlappingSlots    Code = "appt_overlapping_slots"
	CodeDoctorWithoutHours  Code = "appt_doctor_without_hours"
	CodeBookingInPast       Code = "appt_booking_in_past"
	CodeClockJump           Code = "appt_clock_jump"
	CodeSlotTaken           Code = "appt_slot_taken"
	CodeHoldExpired         Code = "appt_hold_expired"
	CodeBadTransition       Code = "appt_bad_transition"
	CodeStoreFailed         Code = "appt_store_failed"
	CodeTextModelNotLoaded  Code = "appt_text_model_not_loaded"
	CodeNotEnoughCalibrated Code = "appt_not_enough_calibration"
)

// CodeInfo describes one code for people: what is wrong and what the caller can do.
type CodeInfo struct {
	Code Code
	// HTTP is the status the edge answers with.
	HTTP int
	// Retryable says whether the same request may succeed later.
	Retryable bool
	Text      string
	Action    string
}

// Codes returns the table of all codes, in a fixed order. The slice is the
// caller's.
func Codes() []CodeInfo {
	return append([]CodeInfo(nil), codeTable[:]...)
}

var codeTable = [...]CodeInfo{
	{CodeBookedAfterDay, 400, false, "the appointment's day is before the day it was booked", "check the two dates, and that both are in the same zone"},
	{CodeBadAge, 400, false, "an age is below 0 or above 120", "send the age in whole years, or leave the row out"},
	{CodeNotFinite, 400, false, "a value is NaN or infinite", "replace missing values by the documented default before sending"},
	{CodeBadProbability, 400, false, "a probability is outside [0, 1]", "send a fraction, not a percentage"},
	{CodeFeatureCount, 400, false, "a row has the wrong number of features", "send the features that the model's metadata lists, in that order"},
	{CodeFeatureType, 400, false, "a tensor has the wrong element type", "send the element type that the model's metadata lists"},
	{CodeRaggedBatch, 400, false, "the tensors of one request do not have the same number of rows or columns", "pad the rows to one length and mark the padding in the mask"},
	{CodeEmptyBatch, 400, false, "the batch holds no rows", "send at least one row"},
	{CodeBadHistory, 400, false, "a patient's history counts more no-shows than appointments", "count both over the same past appointments"},
	{CodeDuplicateID, 400, false, "one appointment id occurs twice", "send each appointment once"},
	{CodeBadSession, 400, false, "the session's length is not a positive number of minutes within the limit", "send whole minutes, 1 to 1440"},
	{CodeBadGrid, 400, false, "the grid is not a positive number of minutes up to the session's length", "send the clinic's grid in whole minutes, for example 5"},
	{CodeNoPatients, 400, false, "the session has no patients", "send at least one patient"},
	{CodeTooLarge, 400, false, "the problem is above the model's size limit", "split the session, or send fewer or shorter visits"},
	{CodeBadServiceMean, 400, false, "a mean service time is not positive or is above the limit", "send minutes above 0, at most 480"},
	{CodeBadServiceCV, 400, false, "a coefficient of variation is below 0 or above 3", "send standard deviation divided by mean"},
	{CodeNegativeWeight, 400, false, "a cost weight is negative", "send weights of 0 or more"},
	{CodeZeroWeights, 400, false, "all cost weights are zero", "give waiting, idle time or overtime a weight above 0"},
	{CodeMaskEmpty, 400, false, "the mask marks no column as a patient", "set the mask to true for each real patient"},
	{CodeBadPlan, 400, false, "a plan is not a permutation, or its times decrease, are negative or leave the grid", "send each patient once with start minutes in order and on the grid"},
	{CodeBadGroup, 400, false, "a group number is negative or the list of groups has the wrong length", "number the groups from 0 and give one number for each patient"},
	{CodeBadGuarantee, 400, false, "a waiting-time guarantee or its level is out of range", "send a limit above 0 minutes and a level in (0, 1)"},
	{CodePriorDoctorRange, 400, false, "a prior doctor's index is out of range", "send -1 for none, else an index below the number of doctors"},
	{CodeBadUrgency, 400, false, "an urgency is negative or above the limit", "send 0 to 1000"},
	{CodeBadSeat, 400, false, "an existing appointment names a doctor or slot that is out of range, or is given twice", "send each open appointment once, with valid indices"},
	{CodeTimestampZone, 400, false, "a timestamp has no zone", "send RFC 3339 with an offset or Z"},
	{CodeTimestampGap, 400, false, "a local time does not exist on that day, because the clocks go forward", "choose a time before or after the gap"},
	{CodeTimestampFormat, 400, false, "a timestamp can't be read", "send RFC 3339, for example 2026-03-02T09:30:00+01:00"},
	{CodeDataOneClass, 422, false, "the training data hold one class only", "give data in which some came and some did not"},
	{CodeDataFutureOutcome, 422, false, "the training data hold outcomes of days that had not come yet", "cut the file at its date of extraction"},
	{CodeDataMissingColumn, 422, false, "the training data lack a column", "give a file with the documented columns"},
	{CodeDataChecksum, 422, false, "the data file's SHA-256 is not the expected one", "fetch the file again, or give the checksum of your own file"},
	{CodeDataBadRow, 422, false, "a row of the data file can't be read", "repair the row that the message names"},
	{CodeOverlappingSlots, 409, false, "two slots of one doctor overlap", "move or shorten one of them"},
	{CodeDoctorWithoutHours, 422, false, "the doctor has no hours on that day", "choose another day or doctor, or enter hours"},
	{CodeBookingInPast, 422, false, "the requested time is in the past", "choose a later time"},
	{CodeClockJump, 503, true, "the server's clock jumped, so times can't be trusted for the moment", "try again in a minute"},
	{CodeSlotTaken, 409, false, "the slot went to somebody else", "choose one of the alternatives in the answer"},
	{CodeHoldExpired, 409, false, "the hold on the slot has expired", "hold the slot again"},
	{CodeBadTransition, 409, false, "the appointment's state does not allow that step", "read the appointment again and choose a step it allows"},
	{CodeStoreFailed, 503, true, "the store failed; nothing was booked and nothing was lost", "try again"},
	{CodeTextModelNotLoaded, 503, true, "free text needs a language model that is not loaded", "send a speciality code, or load the model"},
	{CodeNotEnoughCalibrated, 422, false, "a group has too few calibration rows for the asked coverage", "collect more rows, or merge the group with another"},
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
	text := string(e.Code)
	if info, ok := Lookup(e.Code); ok {
		text = info.Text
	}
	return fmt.Sprintf("%s: %s (%s) [%s]", e.Field, text, e.Detail, e.Code)
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

// Lookup returns the table's row for code.
func Lookup(code Code) (CodeInfo, bool) {
	for _, info := range codeTable {
		if info.Code == code {
			return info, true
		}
	}
	return CodeInfo{}, false
}
