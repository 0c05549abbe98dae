"""What a user brings: a training function, data and a first model, found by name and by file.

A training function takes ``(parameters, data)`` and returns the new parameters; parameters are a list of NumPy
arrays. Its module may define ``load(path)``, which then reads the data file; otherwise ``.npz`` gives a dict of arrays,
``.npy`` an array and ``.csv`` a float array without its header line.
"""

from __future__ import annotations

import importlib
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import CallerError, HostError, QuatrefoilError
from quatrefoil.federation.vectors import Arrays

_LONGEST_TEXT = 300
_OWN, _LIBRARY = str(Path(__file__).parents[1]), str(Path(traceback.__file__).parent)


def load_function(name: str) -> Callable[..., Any]:
    """The function that ``module:function`` names; modules in the current folder are found too."""
    module_name, colon, function_name = name.partition(":")
    if not (module_name and colon and function_name):
        raise CallerError(f"{name!r} does not name a function", hint="Write module:function, such as my_model:train")
    if module_name.startswith("."):
        raise CallerError(f"{module_name!r} does not name a module", hint="Write its full name, without a leading dot")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise CallerError(f"there is no module {error.name}", hint="Run in its folder, or install it") from None
    except (Exception, SystemExit) as error:
        raise _failed(module_name, error) from error
    if (function := getattr(module, function_name, None)) is None:
        raise CallerError(f"{module_name} has no function {function_name}", hint="Check the spelling")
    if not callable(function):
        raise CallerError(f"{name} is no function", hint="Name one that takes (parameters, data)")
    found: Callable[..., Any] = function
    return found


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the user's function returns; what it raises is ``CallerError``, with the line of the user's file."""
    try:
        return function(*arguments)
    except QuatrefoilError:
        raise
    except (Exception, SystemExit) as error:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise _failed(f"{getattr(function, '__module__', '')}:{name}", error) from error


def as_arrays(returned: Any, name: str) -> Arrays:
    """What a user's function returned, as a list of NumPy arrays; their layout is checked where it is known."""
    if not isinstance(returned, Iterable) or isinstance(returned, str | bytes | Mapping):
        raise CallerError(
            f"{name} returned {type(returned).__name__}, no list of arrays", hint="Return the parameters as a list"
        )
    try:
        return [np.asarray(array) for array in returned]
    except Exception as error:  # whatever converts or generates an item is the user's
        raise CallerError(f"{name} returned what is no array ({error})", hint="Return NumPy arrays") from error


def load_data(file: Path, train: Callable[..., Any]) -> Any:
    """A silo's data, read by the training module's own ``load`` or by the file's suffix."""
    if not file.is_file():
        raise CallerError(f"there is no data file {file}", hint="Check --data")
    module = sys.modules.get(getattr(train, "__module__", ""))
    if callable(load := getattr(module, "load", None)):
        return call(load, file)
    try:
        if file.suffix == ".npz":
            return _read_arrays(file)
        if file.suffix == ".npy":
            return _read_array(file)
        if file.suffix == ".csv":
            return _read_table(file)
    except Exception as error:  # of NumPy and of what unpacks for it, without a common base
        why = str(error)[:_LONGEST_TEXT]  # NumPy quotes headers
        raise CallerError(f"{file} cannot be read ({why})", hint="Write it again, or define load(path)") from None
    raise CallerError(
        f"{file.name} has no known suffix", hint="Use .npz, .npy or .csv, or define load(path) beside train"
    )


def count_samples(data: Any) -> int:
    """Rows of the data: the length of its arrays, which must agree, or ``len(data)``."""
    arrays = list(data.values()) if isinstance(data, Mapping) else data if isinstance(data, tuple) else None
    if arrays is not None:
        lengths = {len(array) for array in arrays if hasattr(array, "__len__") and np.ndim(array) > 0}
        if len(lengths) == 1:
            return int(lengths.pop())
        raise CallerError(f"the data's parts have lengths {sorted(lengths)}", hint="Give the number of samples")
    try:
        return len(data)
    except TypeError:
        raise CallerError(f"{type(data).__name__} has no length", hint="Give the number of samples") from None


def load_model(source: str) -> Arrays:
    """A first model from an ``.npz`` file (arrays in their order) or from a ``module:function`` that returns it."""
    if ":" in source and not Path(source).exists():
        return as_arrays(call(load_function(source)), source)
    try:
        return list(_read_arrays(Path(source)).values())
    except Exception as error:
        raise CallerError(
            f"{source} cannot be read as a model ({str(error)[:_LONGEST_TEXT]})",
            hint="Give an .npz file, or module:function",
        ) from None


def save_model(file: Path, model: Sequence[NDArray[np.floating]]) -> None:
    """Write the arrays to an ``.npz`` file, in their order."""
    try:
        with file.open("wb") as opened:  # given a name, NumPy would add a suffix to it
            np.savez(opened, *model)
    except OSError as error:
        raise HostError(f"{file} cannot be written ({error.strerror})", hint="Name a file in another folder") from None


def _failed(what: str, error: BaseException) -> CallerError:
    """The user's error in one line: its type, its text, and where in the user's files it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith("<") and _is_users(frame.filename)]
    where = f" at {Path(own[-1].filename).name} line {own[-1].lineno}" if own else ""
    text = f"{type(error).__name__}: {error}"[:_LONGEST_TEXT]
    return CallerError(f"{what} failed{where} ({text})", hint="Correct it; what was sent before is kept")


def _is_users(file: str) -> bool:
    return "site-packages" not in Path(file).parts and not file.startswith((_OWN, _LIBRARY))


# Files are opened here, so that they are closed again when NumPy finds something else in them.


def _read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    with file.open("rb") as opened:
        found = np.load(opened, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("a single array, no .npz archive")  # noqa: TRY004 (the file's fault, like the others)
        return dict(found)


def _read_array(file: Path) -> NDArray[Any]:
    with file.open("rb") as opened:
        return np.lib.format.read_array(opened, allow_pickle=False)


def _read_table(file: Path) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty table is an error below
        table = np.loadtxt(file, delimiter=",", skiprows=1, ndmin=2)
    if not table.size:
        raise ValueError("no rows under its header line")
    return table
