"""Python calls of other CSM systems on this engine, one module a system. See docs/dropin.md."""
