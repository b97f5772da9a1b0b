"""Where runs are executed: this process, several local processes, or a Ray or Slurm cluster."""
