// Package tabular trains models on tables: it reads a CSV, splits it, fits one of its learners
// (gbdt, linear, mlp, or a program that the operator names), measures the model on rows that it
// has not seen, and publishes it with its feature schema, card and report. All learners share
// these steps, so their models take the same inputs and are measured alike.
//
// A model's inputs are `numeric` FLOAT [N, k], with NaN for a missing value, and `categorical`
// STRING [N, c], with "" for one, in the order of features.json; one that would have no columns
// is left out. Its outputs are `label` and `probabilities` of a classifier, `prediction` of a
// regression, and, unless switched off, `interval` (split conformal) of a regression,
// `outlier_score` and `outlier`.
//
// Rows are parted into four: to fit, to stop early, to calibrate (intervals, the bar of
// outliers) and to test. The figures are of the last alone.
//
// Neighbours: train, table, features, design, gbdt, linear, mlp, program and evaluate below,
// runtime to try the exported model; cmd above.
//
// Concurrency: trainers may run at the same time.
package tabular
