"""Which algorithm a network runs: one detector per file, found by file name.

A file whose name has no leading underscore holds one final class derived from `_detector.Detector`.
"""
