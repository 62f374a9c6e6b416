"""What Helios will say of each recording, checked before anything is sent.

This package imports nothing itself: the worker processes need no tables, and pandas would cost each
of them half a second and 50 MB.
"""
