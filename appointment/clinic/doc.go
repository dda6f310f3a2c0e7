// Package clinic is an example of a service that lives on the appointment models: a
// patient scans a code, gets a list of recommended doctors with the reasons, holds and
// books a time; the doctor is told at once and approves; they meet; rating and payment
// follow. There is a page for the phone, one for the doctor, and a FHIR R4 interface.
//
// It talks to the models through the standard predict endpoint alone (forecast) and keeps
// what is agreed in its own file (book). If the models can't be reached the clinic goes
// on: times are booked, predictions are left out.
//
// Who may do what: a patient is known by a signed cookie and sees nothing but their own
// appointments; the doctor's pages and the FHIR interface answer on loopback, or to the
// staff key, which is drawn when the file is made.
//
// Neighbours: book below does every step; forecast asks the models; fhir speaks FHIR; cmd
// starts it. A Clinic is safe for concurrent use.
package clinic
