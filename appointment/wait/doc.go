// Package wait predicts how long a patient of a planned session will wait (P50,
// P90, P95) and how long the visit will take (an interval), with coverage that
// is calibrated instead of assumed.
//
// Quantiles come from any [Quantiler]; [Train] makes one of boosted trees (train/
// gbdt) on half-days from the simulator (sim). Whatever it says is then corrected
// on half-days it has not seen: waits by one-sided conformal bounds, service
// times by conformalised quantile regression (Romano, Patterson and Candès,
// NeurIPS 2019), separately for each visit type (Mondrian: Vovk, Gammerman and
// Shafer, Algorithmic Learning in a Random World, 2005), so that no type pays for
// another. The promise is the usual one: it holds on average over sessions like
// those calibrated on, not for each single patient, and not after the clinic has
// changed.
//
// [EvaluateService] measures the same method on a clinic's real service times.
// A [Model] is safe for concurrent use once made. Slices that are returned belong
// to the caller.
package wait
