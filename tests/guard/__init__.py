"""The own rules for templates: each has a template that breaks it."""
