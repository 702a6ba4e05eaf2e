"""Interfaces of other CSM servers, thin layers over this one: `routes.router` makes them, docs/dropin.md tells."""
