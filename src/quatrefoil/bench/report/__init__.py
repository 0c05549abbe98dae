"""Every bench in one run: measured part by part into a folder, and drawn as one page (docs/benchmarks.md)."""
