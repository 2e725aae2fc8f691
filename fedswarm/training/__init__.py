"""Training: what a client does with the model it gets, and the engines that do it."""
