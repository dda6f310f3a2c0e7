// Package recommend ranks doctors for a patient's need: which doctors can help, the
// first good time with each, how likely the patient is to come, how long the wait will
// be, and why this one, in words.
//
// It decides nothing by itself that another model decides: which seat comes first is
// appt-assign's answer, asked again without the doctors already named; the probability
// is appt-noshow's, the wait appt-wait's. What it adds is the clinic: who works when,
// what is booked, and what is known of the patient. That is a file, [Clinic], so that the
// model is a function of its request: the moment of asking is in the request, never the
// clock. A clinic that books sends what has changed with the request, as a [Diary].
//
// Neighbours: hosted makes a model of it and gives it [Models], which call the served
// models; demo writes the clinic that does not exist ([Demo]).
//
// A Clinic does not change once it is read and is safe for concurrent use, as is
// [Clinic.Rank]. Results are the caller's.
package recommend
