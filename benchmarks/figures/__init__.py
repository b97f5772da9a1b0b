"""Every picture: the figures of a leaderboard, of a run, of a study and of a task, and a figure of a paper."""
