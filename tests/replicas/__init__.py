"""Repositories of the CSM family as they lie on the hub, in small: file names, tensor names and configurations as
published, random numbers. What is known of each is from descriptions of it, never from what this package writes."""
