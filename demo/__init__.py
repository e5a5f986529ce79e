"""The demonstration: real flights through the deployed system while an adversary takes its workers away."""
