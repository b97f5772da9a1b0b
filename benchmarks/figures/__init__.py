"""Every picture: of a leaderboard, of one run, of a study, of a task, of a paper's figure."""
