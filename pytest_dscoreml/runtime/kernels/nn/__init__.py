"""Kernels of neural network layers; names are those of the fields in Core ML's NeuralNetwork.proto."""
