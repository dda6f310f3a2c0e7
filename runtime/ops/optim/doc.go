// Package optim holds the training steps of ai.onnx.preview.training: Adagrad, Adam and
// Momentum. Each takes the learning rate, the count of updates, and groups of tensors
// (parameters, gradients, states), and gives the new parameters and states.
//
// Neighbours: runtime/ops defines the contract.
// Ownership and concurrency: as runtime/ops.
package optim
