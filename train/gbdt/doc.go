// Package gbdt trains gradient boosted decision trees on histograms, in plain
// Go.
//
// Each feature is cut into at most 255 bins once, by the quantiles of its
// training values; every tree then works on one byte a value. Trees grow
// leaf-wise: of all leaves the one whose best split gains most is split next,
// up to Config.Leaves. Only the smaller child of a split has its histogram
// counted, the larger one's is the parent's less its sister's.
//
// Features of few values are counted together: several of them share one byte
// (their joint bin), and the histogram of each is a margin of the joint one.
//
// Categorical features are split into two sets of categories, found by
// ordering the categories by their smoothed gradient statistics: for a convex
// loss the best partition is contiguous in that order.
//
// Thresholds are float32 and lie between two training values such that
// x <= threshold decides in float32 exactly as the bins did. Leaf values are
// float32 too. So a model written to ONNX (AppendONNX) takes the same branches
// as the model in memory; only the order of the final sum may differ.
//
// Missing values (NaN) form a bin of their own and go to whichever side gains
// more; where training has seen none they follow the larger child.
//
// Results depend on the data, the Config and its Seed alone, not on the number
// of workers: histograms sum integers, in units fitted to each tree's
// derivatives, so that no order of work can show.
//
// Sources: Friedman, Greedy function approximation: a gradient boosting
// machine, Annals of Statistics 29(5), 2001 (the boosting step); Chen and
// Guestrin, XGBoost, KDD 2016 (second-order gain with L2); Ke et al., LightGBM,
// NeurIPS 2017 (histograms, leaf-wise growth, subtraction); Fisher, On grouping
// for maximum homogeneity, JASA 53, 1958, and Breiman et al., Classification
// and Regression Trees, 1984, section 4.2 (the order of categories).
//
// Neighbours: runtime/onnx/build below, for the export; trainers (appointment,
// cmd) above. Train owns nothing after it returns and does not keep the
// Dataset. A Model is safe for concurrent use by any number of readers.
package gbdt
