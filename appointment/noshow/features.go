package noshow

import "slices"

// names are the numeric features in the order of the tensor "numeric" at
// booking time.
var names = [...]string{
	"age", "male", "lead", "same_day", "sched_hour", "sched_dow", "appt_dow",
	"scholarship", "hipertension", "diabetes", "alcoholism", "handcap",
	"p_cnt", "p_ns", "p_last", "p_since", "p_open",
}

// reminderName is the feature that the day-of model has besides.
const reminderName = "sms_received"

// FeatureNames lists the numeric features of a moment in their order. The
// day-of list ends with the reminder flag.
func FeatureNames(m Moment) []string {
	n := slices.Clone(names[:])
	if m == DayOf {
		n = append(n, reminderName)
	}
	return n
}

// AppendFeatures appends the numeric features of one appointment as known at
// the moment: 17 at booking, 18 on the day. Only what the moment allows is
// read; the outcome never is. This is the one definition of the features.
func AppendFeatures(dst []float32, r *Record, m Moment, past Past) []float32 {
	booked := dayOf(r.Booked)
	minutes := (r.Booked - int64(booked)*daySeconds) / 60
	dst = append(dst,
		float32(r.Age), flag(r.Male), float32(r.Lead()), flag(r.Lead() == 0),
		float32(float64(minutes/60)+float64(minutes%60)/60), float32(weekday(booked)), float32(weekday(r.Day)),
		flag(r.Scholarship), flag(r.Hypertension), flag(r.Diabetes), flag(r.Alcoholism), float32(r.Handicap),
		float32(past.Count), float32(past.Missed), float32(past.Last), float32(past.Since), float32(past.Open))
	if m == DayOf {
		dst = append(dst, flag(r.Reminded))
	}
	return dst
}

func flag(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// Encoder turns appointments into the tensors that the model takes.
type Encoder struct {
	Moment  Moment
	History *History
	// Places are the known neighbourhoods in byte order.
	Places []string
}

// Place is the number of a neighbourhood, -1 where it is unknown.
func (e *Encoder) Place(name string) int64 {
	i, ok := slices.BinarySearch(e.Places, name)
	if !ok {
		return -1
	}
	return int64(i)
}

// Append appends one row to each tensor. known says that r is itself among the
// records of the History.
func (e *Encoder) Append(numeric []float32, place []int64, r *Record, known bool) ([]float32, []int64) {
	own := 0
	if known {
		own = 1
	}
	t, cut := e.Moment.of(r)
	past := e.History.At(r.Patient, t, cut, own)
	return AppendFeatures(numeric, r, e.Moment, past), append(place, e.Place(r.Place))
}
