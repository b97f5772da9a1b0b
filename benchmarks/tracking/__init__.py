"""MLflow as a mirror of the run records, which stay the truth.

During a sweep ``sink.Sink`` tells a second process, ``uploader``, what happens; ``sync`` uploads what is missing.
``mirror`` alone imports mlflow; ``fields`` says which part of a record becomes which param, metric or tag.
"""
