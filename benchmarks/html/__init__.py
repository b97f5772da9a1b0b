"""The leaderboard as one HTML file that needs nothing from anywhere: tables, plots and a page a run."""
