// Package assign chooses which doctor sees which patient, and in which slot, for
// the least total cost: an exact minimum-cost flow.
//
// The network runs source → request → seat (doctor, slot) → half-day of a doctor
// → doctor → sink. A request reaches the free seats of the doctors who can see
// it, each at its own cost: lateness by urgency, a period the patient did not
// wish, another doctor than the prior one, the risk of an empty early slot. The
// k-th patient of a half-day and of a doctor costs k steps more (convex arcs),
// which spreads the load. All costs are whole numbers, so the optimum is exact.
// Who can't be placed is queued. Where seats are short, those go first who can keep their
// prior doctor, then the urgent.
//
// [Solve] works on plain Go values, [SolveTensors] is the form in which the model
// appt-assign is served. Neighbours: errors and checks come from package
// appointment; the hosting of the algorithm as a model is above.
//
// Algorithm: successive shortest paths, one request at a time, Dijkstra on
// reduced costs with node potentials (Edmonds and Karp, J. ACM 19, 1972; the
// early stop and the partial update of potentials as in Jonker and Volgenant,
// Computing 38, 1987). Flow never leaves a request once it is placed or queued
// but by a shorter path, so the result after the last request is optimal.
//
// Results are deterministic. All functions are safe for concurrent use, keep no
// slice they are given, and give fresh slices that belong to the caller.
package assign
