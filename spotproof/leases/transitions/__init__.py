"""The transitions of the protocol, grouped by the item they change."""
