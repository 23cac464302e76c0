"""What the kernels cost on this machine, beside plain attention, each question asked only once its answer is right."""
