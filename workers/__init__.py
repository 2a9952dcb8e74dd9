"""What Celery runs: a few lines each, on top of service."""
