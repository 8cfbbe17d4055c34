"""Hyperparameter sweeps that live inside PyTorch Lightning."""
