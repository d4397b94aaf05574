"""How verdicts are printed. Everything here starts from `rmaplab.checker.verdict`, nothing else."""
