"""The checks of a log, each on after another failed. :mod:`quatrefoil.audit.verification` runs them."""
