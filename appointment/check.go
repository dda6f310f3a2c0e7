package appointment

import "math"

// Limits of single values, shared by all models of the room.
const (
	// MaxAge in years.
	MaxAge = 120
	// MaxServiceMean in minutes.
	MaxServiceMean = 480
	// MaxServiceCV is the largest coefficient of variation.
	MaxServiceCV = 3
	// MaxSession in minutes: one day.
	MaxSession = 1440
	// MaxUrgency bounds urgencies so that integer costs can't overflow.
	MaxUrgency = 1000
)

// CheckFinite returns an error if v is NaN or infinite; i is the row in the message.
func CheckFinite(field string, i int, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Errorf(CodeNotFinite, field, "row %d is %v", i, v)
	}
	return nil
}

// CheckProbability returns an error unless v is a finite number in [0, 1].
func CheckProbability(field string, i int, v float64) error {
	if err := CheckFinite(field, i, v); err != nil {
		return err
	}
	if v < 0 || v > 1 {
		return Errorf(CodeBadProbability, field, "row %d is %v", i, v)
	}
	return nil
}

// CheckService returns an error unless mean (minutes) and cv describe a service
// time the models accept: 0 < mean ≤ [MaxServiceMean], 0 ≤ cv ≤ [MaxServiceCV].
func CheckService(i int, mean, cv float64) error {
	if err := CheckFinite("service_mean", i, mean); err != nil {
		return err
	}
	if mean <= 0 || mean > MaxServiceMean {
		return Errorf(CodeBadServiceMean, "service_mean", "row %d is %v", i, mean)
	}
	if err := CheckFinite("service_cv", i, cv); err != nil {
		return err
	}
	if cv < 0 || cv > MaxServiceCV {
		return Errorf(CodeBadServiceCV, "service_cv", "row %d is %v", i, cv)
	}
	return nil
}

// NumNoShowFeatures is the length of a row of the no-show model's numeric input.
const NumNoShowFeatures = 17

// Columns of the no-show row that [CheckNoShowRow] reads.
const (
	noShowAge   = 0
	noShowLead  = 2
	noShowCount = 12
	noShowMiss  = 13
)

// CheckNoShowRow checks one row of the no-show model's 17 numeric features:
// their number, finite values, an age of 0 to 120, a lead of 0 days or more, and
// a history with no more no-shows than appointments. i is the row in the message.
func CheckNoShowRow(i int, row []float32) error {
	if len(row) != NumNoShowFeatures {
		return Errorf(CodeFeatureCount, "numeric", "row %d has %d features, not %d", i, len(row), NumNoShowFeatures)
	}
	for _, v := range row {
		if err := CheckFinite("numeric", i, float64(v)); err != nil {
			return err
		}
	}
	if age := row[noShowAge]; age < 0 || age > MaxAge {
		return Errorf(CodeBadAge, "age", "row %d is %v", i, age)
	}
	if row[noShowLead] < 0 {
		return Errorf(CodeBookedAfterDay, "lead", "row %d is %v days", i, row[noShowLead])
	}
	if row[noShowMiss] < 0 || row[noShowCount] < row[noShowMiss] {
		return Errorf(CodeBadHistory, "p_ns", "row %d has %v no-shows in %v appointments", i, row[noShowMiss], row[noShowCount])
	}
	return nil
}
