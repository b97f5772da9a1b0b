"""What `python -m benchmarks.speed` times: steps and runs in turn, beside the floor that no method can go below."""
