// Package year plays a year of a clinic that does not exist again and again with the
// same patients: as first come, first served at equal intervals; by the rule of Bailey
// and Welch with double bookings; and with this project's models. It is the test of all
// of them together, in a world that the planner does not know in full: patients are
// early or late, doctors begin late, outcomes are drawn from the simulated clinic's own
// habits and not from the probabilities that the planner was told.
//
// Requests come in the order of their booking. The probability of not coming is that of
// appt-noshow, trained on the first days (which are not counted) and asked as at the
// time of booking. What each policy may use:
//
//   - first come: the booking order. Each gets the first free place of a doctor who can
//     help; starts are equal intervals over the half-day.
//   - Bailey-Welch: the same places. As many starts as patients are expected to come,
//     two at the first, then equal intervals; those most likely to stay away are booked
//     on top of others.
//   - scheduled: the same places, with appt-schedule's starts.
//   - models: appt-assign's plan of the whole day and appt-schedule's starts, the order
//     of each doctor's patients as assigned.
//
// Neighbours: noshow simulates and trains, assign and schedule plan, sim plays; bench's
// command writes the report. Run may be called from any number of goroutines; the same
// Config gives the same Report.
package year
