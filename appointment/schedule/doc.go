// Package schedule chooses the start minutes, and if allowed the order, of one
// doctor's session so that the expected cost of waiting, idle time and overtime
// is least, when patients may not come and service times vary.
//
// [Solve] plans a session, [Replan] repairs a running day, [Evaluate] gives the
// exact expected cost of any plan, [Baselines] the costs of the rules that
// clinics use. [SolveTensors] is the form in which the model appt-schedule is
// served. Neighbours: errors and checks come from package appointment; the
// hosting of the algorithm as a model is above.
//
// Model. Patients are punctual and served in order. Patient i comes with
// probability q, takes a lognormal service time on whole minutes and waits for
// the work that is still in front of it. The workload at each start is a
// distribution on whole minutes that is convolved with the next patient's
// service and moved down by the gap to the next start (Lindley's recursion), so
// the cost is exact, not sampled.
//
// Search. For a given order the cost is L-natural-convex in the start times
// (Begen and Queyranne, Appointment scheduling with discrete random durations,
// Math. Oper. Res. 2011; Zacharias and Yunes, Multimodularity in the stochastic
// appointment scheduling problem with discrete arrival epochs, Management
// Science 2020), so descent over moves of intervals of patients by one grid step
// does not stop far from the optimum, and coarse steps first lose nothing
// (scaling and proximity, Murota, Discrete Convex Analysis, 2003). A move of
// patients i..j is priced from the cached distribution before i and the cached
// cost-to-go after j, so only i..j is convolved again. The rule of Bailey and
// Welch is from A study of queues and appointment systems in hospital
// out-patient departments, J. R. Stat. Soc. B 1952.
//
// Results are deterministic: the amount of search is bounded by counted work,
// never by a clock. All functions are safe for concurrent use, keep no slice
// they are given, and give fresh slices that belong to the caller.
package schedule
