"""Models in integers: an ONNX model compiled to a graph that every machine computes to the same bits. Unaudited.

What an answer of such a graph is can be stated, and so proven: docs/quantised-models.md defines every operation.
"""

from quatrefoil.quantised.accuracy import Accuracy, measure_accuracy
from quatrefoil.quantised.batches import outputs_of
from quatrefoil.quantised.compiler import Widths, quantise
from quatrefoil.quantised.graph import IntegerGraph
from quatrefoil.quantised.onnx_form import decode, encode
from quatrefoil.quantised.program import Entrance, Program, entrance_of, program_of, weights_of
from quatrefoil.quantised.rule import Rule
from quatrefoil.quantised.trace import Trace, Values, enter, trace_of

__all__ = [
    "Accuracy",
    "Entrance",
    "IntegerGraph",
    "Program",
    "Rule",
    "Trace",
    "Values",
    "Widths",
    "decode",
    "encode",
    "enter",
    "entrance_of",
    "measure_accuracy",
    "outputs_of",
    "program_of",
    "quantise",
    "trace_of",
    "weights_of",
]
