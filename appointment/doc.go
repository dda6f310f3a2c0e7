// Package appointment is the room of the appointment models: who may not come
// (no-show), how long people wait (wait), when each patient of a session starts
// (schedule) and which doctor sees whom (assign), with the simulator (sim) they
// are trained and checked on.
//
// The package itself holds what those sub-packages share: the table of stable
// error codes for bad input, the checks of single values and rows, and the
// reading of timestamps. Sub-packages import it; it imports none of them, and
// nothing of the serving path. The code that hosts the algorithms as models and
// the clinic service sit above.
//
// Every function is a pure function of its arguments and safe for concurrent
// use; nothing keeps a slice it was given.
package appointment
