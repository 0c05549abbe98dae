"""What a process tells people and programs: tables and JSON when it is done, lines of progress meanwhile."""

from quatrefoil.output.progress import add_log_format_option, fail, progress_console, report, warn
from quatrefoil.output.results import add_json_option, capped, console, only_json, require_writable, table, write_json

__all__ = [
    "add_json_option",
    "add_log_format_option",
    "capped",
    "console",
    "fail",
    "only_json",
    "progress_console",
    "report",
    "require_writable",
    "table",
    "warn",
    "write_json",
]
