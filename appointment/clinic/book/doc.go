// Package book is the clinic's ledger: doctors and their slots, patients, appointments
// with their states, payments as a state, and an audit entry for each step, in one bbolt
// file.
//
// Every step is one transaction: it is checked against what is stored, changes the
// appointment and its slot together, and writes its audit entry, or it does nothing. So a
// slot never has two appointments, and an appointment that was answered for is there
// after a crash. A step with a key that is sent again gives the first answer again, so a
// caller who never got an answer asks again. A commit that fails is looked at: if it has
// reached the file the step has happened, else it has not, and the caller is told which.
//
// Times are instants. Hours are wall-clock times in the clinic's zone and become instants
// day by day; a day without that hour, because the clocks go forward, has no session.
// While the machine's clock has just jumped, steps that depend on the time are refused
// (see [Clock]).
//
// Neighbours: appointment has the error codes, recommend the form of a clinic's file. The
// clinic's pages and its FHIR interface are above.
//
// A Book is safe for concurrent use. Values that it returns are the caller's.
package book
