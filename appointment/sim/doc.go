// Package sim is a seeded discrete-event simulator of one doctor's half-day:
// patients come early or late or not at all, the doctor may begin late, service
// times vary by visit type and doctor, and patients are seen in the order they
// come or the order they are booked.
//
// It trains and checks the waiting-time model (package wait) and stands beside
// the exact evaluator of package schedule: with punctual patients and service
// times from the evaluator's distribution both must agree within sampling error.
//
// The default parameters are published ones: visit types and their means and
// coefficients of variation follow the outpatient clinic of Feng et al. (A
// Dataset of Service Time and Related Patient Characteristics from an Outpatient
// Clinic, Data 8(3), 47, 2023), unpunctuality the usual normal model with a mean
// of five minutes early. [ReadConsultations] reads that clinic's own times by
// path; the file itself is not part of the project.
//
// Everything is decided by the *rand.Rand that is passed in: the same seed gives
// the same day. Functions are safe for concurrent use as long as each goroutine
// has its own Rand. Results are the caller's.
package sim
