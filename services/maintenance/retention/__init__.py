"""What is past its window is removed, in small batches, beside everything else."""
