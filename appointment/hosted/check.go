package hosted

import (
	"encoding/binary"
	"math"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/runtime/tensor"
)

// NoShowCheck is the name of CheckNoShow in a configuration (parameter "check").
const NoShowCheck = "appt-noshow"

// CheckNoShow refuses rows of appt-noshow's input `numeric` that no appointment can have:
// values that are not finite, an age outside of 0 to 120, a day before the booking, more
// no-shows than appointments. Columns after the seventeenth must be finite. The model is
// an ONNX file and would answer something to each of them.
func CheckNoShow(input string, t *tensor.Tensor) error {
	if input != "numeric" || t.DType != tensor.Float32 || len(t.Shape) != 2 {
		return nil
	}
	rows, width := t.Shape[0], t.Shape[1]
	if rows == 0 {
		return appointment.Public(appointment.Errorf(appointment.CodeEmptyBatch, input, "0 rows"))
	}
	// A request's memory need not be aligned.
	bytes := t.Bytes()
	row := make([]float32, width)
	for i := range rows {
		for k := range row {
			row[k] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*(i*width+k):]))
		}
		if err := appointment.CheckNoShowRow(i, row[:min(width, appointment.NumNoShowFeatures)]); err != nil {
			return appointment.Public(err)
		}
		for _, v := range row[appointment.NumNoShowFeatures:] {
			if err := appointment.CheckFinite(input, i, float64(v)); err != nil {
				return appointment.Public(err)
			}
		}
	}
	return nil
}
