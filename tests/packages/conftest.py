"""A project on a small index."""

from small_project import index, newer, project

__all__ = ["index", "newer", "project"]
