"""The leaderboard as one HTML file that loads nothing else: tables, plots and one page per run."""
