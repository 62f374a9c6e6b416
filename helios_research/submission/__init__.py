"""Sending a cohort to Helios: decide, pace, ask, act."""
