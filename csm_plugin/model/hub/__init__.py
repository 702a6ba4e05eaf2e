"""Checkpoints from the hub: only what is needed, into the cache that every program shares."""

from __future__ import annotations

from csm_plugin.model.hub.cache import RepositoryCache, cache_folder
from csm_plugin.model.hub.fetching import Peek, fetch, peek
from csm_plugin.model.hub.wanted import Kind, missing

__all__ = ["Kind", "Peek", "RepositoryCache", "cache_folder", "fetch", "missing", "peek"]
