"""Copies run records to MLflow. The records stay the source of every number.

During a sweep ``sink.Sink`` sends events to a second process, ``uploader``. ``sync`` uploads the records that MLflow
lacks. Only ``mirror`` imports mlflow. ``fields`` maps parts of a record to params, metrics and tags.
"""
