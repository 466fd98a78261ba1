"""Make convolutional networks fast on CPUs: the algorithm that each layer's sparsity deserves."""
