"""Quality and cost: perplexity, accuracy, intervals, gradients, memory, operations, a peer."""
