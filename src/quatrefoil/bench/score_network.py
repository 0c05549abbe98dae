"""One inference of a network, dense, square, dense, on one encrypted row: ours, TenSEAL's vectors, and in the clear.

On one thread. A row is one inference: encrypting one row, evaluating, decrypting; ours writes, reads and checks the
bytes that travel as well, TenSEAL's are serialised to be counted, outside the time. What is made once for many rows,
keys and encoded weights, stands apart. The clear is ONNX Runtime where it is there, and numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import EvaluationKeys, HeParameters, SecretKey
from quatrefoil.analytics import Answer, EncryptedRows, Network, NetworkEvaluator, Outputs, encrypt_row, open_answer
from quatrefoil.analytics.networks import NETWORK_SET
from quatrefoil.bench.tenseal_peer import quiet_standard_output
from quatrefoil.errors import CallerError, DependencyMissing

Row = dict[str, Any]
Progress = Callable[[str], None]
Arrays = tuple[NDArray[np.float64], ...]
BOUND = 4.0
_PEER_BITS = (50, 37, 37, 37, 50)
"""Three multiplications of 2^37 inside the 218 bits that N = 8192 has."""


def measure_network(inputs: int, hidden: int, repeats: int, progress: Progress) -> list[Row]:
    """One row for each way, in milliseconds and bytes, the best of ``repeats``. ``over_plain``: of the first."""
    if not (1 <= inputs <= 1024 and 1 <= hidden <= 256 and repeats >= 1):
        raise CallerError(f"{inputs} inputs x {hidden} units are not measured", hint="Choose 1 to 1024 x 1 to 256")
    source = np.random.default_rng(12)
    shapes = ((hidden, inputs), (hidden,), (1, hidden), (1,))
    arrays = tuple(source.standard_normal(shape) / np.sqrt(shape[-1]) for shape in shapes)
    row = np.clip(source.standard_normal(inputs), -BOUND, BOUND)
    exact = float(_plain(arrays, row)[0])
    found: list[Row] = []
    ways: tuple[tuple[str, Callable[[], Row]], ...] = (
        ("ONNX Runtime", lambda: _runtime(arrays, row, exact, repeats)),
        ("numpy", lambda: _numpy(arrays, row, repeats)),
        (NETWORK_SET, lambda: _ours(arrays, row, exact, repeats)),
        ("TenSEAL", lambda: _peer(arrays, row, exact, repeats)),
    )
    for name, measured in ways:
        progress(f"a network of {inputs} x {hidden} x 1, one row: {name}")
        try:
            found.append(measured())
        except DependencyMissing as error:
            progress(str(error))
    for each in found:
        each |= {"inputs": inputs, "hidden": hidden, "over_plain": each["total_ms"] / found[0]["total_ms"]}
    return found


def _plain(arrays: Arrays, row: NDArray[np.float64]) -> NDArray[np.float64]:
    first, biases, second, constants = arrays
    return np.asarray(second @ (first @ row + biases) ** 2 + constants)


def _numpy(arrays: Arrays, row: NDArray[np.float64], repeats: int) -> Row:
    best = min(_timed(lambda: _plain(arrays, row))[0] for _ in range(max(100, repeats)))
    return {"way": "plain numpy", "total_ms": best}


def _runtime(arrays: Arrays, row: NDArray[np.float64], exact: float, repeats: int) -> Row:
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise DependencyMissing(
            "onnx or onnxruntime is not installed", hint="Install the extra: pip install 'quatrefoil[bench]'"
        ) from None
    names = ("w", "b", "v", "c")
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("Mul", ["h", "h"], ["s"]),
        helper.make_node("Gemm", ["s", "v", "c"], ["y"], transB=1),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, len(row)])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
    weights = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in zip(names, arrays, strict=True)]
    graph = helper.make_graph(nodes, "network", [given], [result], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    rows = row[None, :].astype(np.float32)
    runs = [_timed(lambda: session.run(None, {"x": rows})) for _ in range(max(100, repeats))]
    best, (values,) = min(runs, key=lambda run: run[0])
    return {"way": "plain ONNX Runtime", "total_ms": best, "max_abs_error": abs(float(values[0, 0]) - exact)}


def _ours(arrays: Arrays, row: NDArray[np.float64], exact: float, repeats: int) -> Row:
    columns = tuple(f"x{i}" for i in range(len(row)))
    lists = [array.tolist() for array in arrays]
    network = Network(
        columns, tuple(map(tuple, lists[0])), tuple(lists[1]), tuple(map(tuple, lists[2])), tuple(lists[3])
    )
    bounds = [BOUND] * len(row)

    def made() -> tuple[SecretKey, bytes]:
        chosen = SecretKey.generate(HeParameters.named(NETWORK_SET))
        return chosen, chosen.evaluation_keys().encode()

    keys_ms, (key, evaluation) = _timed(made)
    load_ms, party = _timed(lambda: NetworkEvaluator(network, EvaluationKeys.decode(evaluation)))
    prepare_ms, _ = _timed(lambda: party.prepared(columns, tuple(bounds)))
    best: Row = {}
    for _ in range(repeats):
        encrypt_ms, sent = _timed(lambda: encrypt_row(key, columns, row, bounds=bounds).encode())
        compute_ms, back = _timed(partial(_computed, party, sent))
        decrypt_ms, found = _timed(partial(_opened, key, sent, back))
        steps = _steps(encrypt_ms, compute_ms, decrypt_ms)
        if not best or steps["total_ms"] < best["total_ms"]:
            sizes = {"sent_bytes": len(sent), "answer_bytes": len(back), "keys_bytes": len(evaluation)}
            errors = {"max_abs_error": abs(float(found.values[0, 0]) - exact), "error_bound": found.error}
            once = {"keys_ms": keys_ms, "prepare_ms": load_ms + prepare_ms}
            best = {"way": NETWORK_SET, **once, **steps, **sizes, **errors}
    return best


def _computed(party: NetworkEvaluator, sent: bytes) -> bytes:
    return party.evaluate(EncryptedRows.decode(sent)).encode()


def _opened(key: SecretKey, sent: bytes, back: bytes) -> Outputs:
    return open_answer(key, sha256(sent).digest(), 1, Answer.decode(back))


def _peer(arrays: Arrays, row: NDArray[np.float64], exact: float, repeats: int) -> Row:
    try:
        import tenseal as ts
    except ImportError:
        raise DependencyMissing(
            "tenseal is not installed", hint="Install the extra: pip install 'quatrefoil[bench]'"
        ) from None
    first, biases, second, constants = (array.tolist() for array in (arrays[0].T, arrays[1], arrays[2].T, arrays[3]))

    def evaluated(vector: Any) -> Any:
        hidden = vector.mm(first) + biases
        return (hidden * hidden).mm(second) + constants

    with quiet_standard_output():
        keys_ms, context = _timed(lambda: _peer_context(ts))
        best: Row = {}
        for _ in range(repeats):
            encrypt_ms, vector = _timed(lambda: ts.ckks_vector(context, row.tolist()))
            compute_ms, result = _timed(partial(evaluated, vector))
            decrypt_ms, values = _timed(result.decrypt)
            steps = _steps(encrypt_ms, compute_ms, decrypt_ms)
            if not best or steps["total_ms"] < best["total_ms"]:
                sizes = {"sent_bytes": len(vector.serialize()), "answer_bytes": len(result.serialize())}
                errors = {"max_abs_error": abs(values[0] - exact), "error_bound": None}
                best = {"way": "tenseal, a vector", "keys_ms": keys_ms, **steps, **sizes, **errors}
        public = context.serialize(
            save_public_key=False, save_secret_key=False, save_galois_keys=True, save_relin_keys=True
        )
    return {**best, "keys_bytes": len(public)}


def _peer_context(ts: Any) -> Any:
    context = ts.context(
        ts.SCHEME_TYPE.CKKS,
        poly_modulus_degree=8192,
        coeff_mod_bit_sizes=list(_PEER_BITS),
        encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=1,
    )
    context.global_scale = 2 ** _PEER_BITS[1]
    context.generate_galois_keys()
    return context


def _steps(encrypt_ms: float, compute_ms: float, decrypt_ms: float) -> Row:
    steps = {"encrypt_ms": encrypt_ms, "compute_ms": compute_ms, "decrypt_ms": decrypt_ms}
    return {**steps, "total_ms": sum(steps.values())}


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = perf_counter()
    result = work()
    return (perf_counter() - start) * 1e3, result
