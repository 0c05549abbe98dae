"""Long computations offline: many tasks in many processes, each result kept, a run that was killed goes on.

docs/offline-proving.md is the page.
"""

from quatrefoil.proving.processes import Processes
from quatrefoil.proving.run import Check, Outcome, Progress, Step, run
from quatrefoil.proving.task import Answer, Executor, Failed, Prove, Task, threads

__all__ = [
    "Answer",
    "Check",
    "Executor",
    "Failed",
    "Outcome",
    "Processes",
    "Progress",
    "Prove",
    "Step",
    "Task",
    "run",
    "threads",
]
