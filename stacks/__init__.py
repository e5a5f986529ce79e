"""Infrastructure: what is deployed. Knows names, never behaviour."""
