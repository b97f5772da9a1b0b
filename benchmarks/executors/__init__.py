"""Where runs happen: in this process, in several, or on a Ray or Slurm cluster; claims keep two from doing one run."""
