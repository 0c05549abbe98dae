"""The toy job, for every test of this folder."""

from toy_job import costs_file, job

__all__ = ["costs_file", "job"]
