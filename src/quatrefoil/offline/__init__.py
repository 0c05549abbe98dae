"""Long computations offline: many tasks in many processes, each result kept, a run that was killed goes on.

docs/offline.md is the page.
"""

from quatrefoil.offline.processes import Processes
from quatrefoil.offline.run import Check, Outcome, Progress, Step, run
from quatrefoil.offline.task import Answer, Executor, Failed, Prove, Task, threads

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
