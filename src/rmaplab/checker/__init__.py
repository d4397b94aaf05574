"""Every interleaving of a scenario, and the verdict on it."""
