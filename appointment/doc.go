// Package appointment is the room of the appointment models: who may not come
// (noshow), how long people wait (wait), when each patient of a session starts
// (schedule), which doctor sees whom (assign) and which doctors to name to a
// patient (recommend), with the simulator (sim) they are trained and checked on.
// hosted makes served models of them, benchmark and year measure them, and
// clinic is a service that lives on them.
//
// The package itself holds what those sub-packages share: the table of stable
// error codes for bad input, the checks of single values and rows, and the
// reading of timestamps. Sub-packages import it; it imports none of them, and
// nothing of the serving path.
//
// Every function is a pure function of its arguments and safe for concurrent
// use; nothing keeps a slice it was given.
package appointment
