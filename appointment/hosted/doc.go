// Package hosted makes models of the appointment algorithms, so that they answer on the
// standard predict endpoint like any other: appt-schedule, appt-schedule-fair, appt-day,
// appt-assign, appt-wait and recommend, which is made of the others. (appt-noshow is an ONNX file and needs no
// code here.)
//
// Each model is a native.Model with the tensors of its table below its New; Entries
// lists them for runtime.Config.Natives, Folder gives the files that serve one.
//
// Neighbours: the algorithms are in schedule, assign, wait and recommend; runtime opens
// what Entries lists, cmd hands Entries the caller that recommend asks the other models
// with.
//
// Errors: bad input keeps its stable code (appointment.Public), so it reaches the client
// as an answer with that code and never as a failed model.
//
// Ownership: inputs are read until Run returns, outputs are made with Alloc.
// Concurrency: as native.Model asks: models keep no state between runs.
package hosted
