// Package fhir speaks HL7 FHIR R4 (JSON) for the clinic's ledger: Schedule, Slot,
// Appointment, Practitioner, Patient and AuditEvent (who did which step when); search and
// read; creation of slots, patients and appointments and the steps of an appointment by PUT
// or by a JSON Patch of its status; the operations $find, $hold and
// $book of the Argonaut Scheduling guide; a CapabilityStatement; every error an
// OperationOutcome with the stable code of the error table.
//
// An appointment's states are FHIR's: proposed is a hold, pending waits for the doctor,
// booked is approved, then arrived and fulfilled, or cancelled or noshow. The version of a
// resource is its ETag; a step with If-Match is refused if somebody was faster. Times are
// written with the offset of the clinic's zone and read with any offset, never without.
//
// Neighbours: book does every step; finding times is a function that the clinic gives. A
// Handler keeps nothing of its own and is safe for concurrent use.
package fhir
