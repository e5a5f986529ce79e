"""Crash enumeration: small worlds in which every AWS call, and every two of them, go wrong in every basic way."""
