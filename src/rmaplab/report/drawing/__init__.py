"""Drawings of a film: objects as kernel people draw them on paper, at each moment of a trace."""
