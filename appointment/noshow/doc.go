// Package noshow predicts whether a patient will fail to show up for an
// appointment. It holds the whole way from a clinic's file to a hosted model:
// reading the file (ReadCSV), the features (Features, the one place that
// defines them, for training and for serving alike), the history that may be
// known at a moment (History), the split by days, training and calibration
// (Train), the ONNX graph, the gates, card and report, and the version folder.
// Recalibrate fits a trained model to one clinic.
// Simulate makes the file of a clinic that does not exist, for demonstrations.
//
// Definitions follow the data of Vitória, Brazil, May 2016 ("Medical
// Appointment No Shows"), whose column names the reader expects.
//
// Nothing from the future enters a feature. A patient's history at a moment
// has the outcomes of days strictly before the cut alone, and the model is
// judged on days after those that it was fitted and calibrated on. A test AUC
// that is too good is taken for a leak and refused.
//
// Neighbours: train, train/gbdt, train/evaluate and runtime/onnx/build below;
// cmd above. A History and an Encoder are safe for concurrent readers once
// built. Records belong to whoever holds the Table.
package noshow
