"""Models in integers: an ONNX model compiled to a graph that every machine computes to the same bits. Unaudited.

What an answer of such a graph is can be stated, and so proven: docs/quantised-models.md defines every operation.
"""

from quatrefoil.quantised.accuracy import Accuracy, measure_accuracy
from quatrefoil.quantised.compiler import Widths, quantise
from quatrefoil.quantised.graph import IntegerGraph
from quatrefoil.quantised.onnx_form import decode, encode

__all__ = ["Accuracy", "IntegerGraph", "Widths", "decode", "encode", "measure_accuracy", "quantise"]
