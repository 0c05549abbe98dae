"""``quatrefoil bench kernel``: every copy of the hot loops beside the ceilings of the machine."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.instructions import count_instructions
from quatrefoil.bench.kernel import measure_kernel

_OPERATIONS = (
    ("encrypt, million parameters a second", "encrypt_m_per_s"),
    ("  on two threads", "two_threads_m_per_s"),
    ("  two threads over one", "two_threads_ratio"),
    ("encrypt, ms", "encrypt_ms"),
    ("  expanding the public polynomials anew, ms", "encrypt_expanding_ms"),
    ("  share of memory: values read, words written", "encrypt_memory_share"),
    ("  share of keystream: noise and coins", "encrypt_keystream_share"),
    ("  share of transforms", "encrypt_transform_share"),
    ("add, ms", "add_ms"),
    ("  plain uint64 sum of the same bytes, ms", "plain_uint64_ms"),
    ("  add over plain", "add_over_plain"),
    ("  read and written, three words a word, GB/s", "add_gb_s"),
    ("decrypt, million parameters a second", "decrypt_m_per_s"),
    ("decrypt, ms", "decrypt_ms"),
    ("  expanding the public polynomials anew, ms", "decrypt_expanding_ms"),
    ("  share of memory: words read, float64 written", "decrypt_memory_share"),
    ("  share of transforms", "decrypt_transform_share"),
    ("combine the keys, ms", "combine_keys_ms"),
)
_STEPS = (
    ("keystream of 32,768 bytes, us", "keystream_us"),
    ("  GB/s", "keystream_gb_s"),
    ("public polynomial, us", "mask_us"),
    ("noise and rounded values, us", "message_us"),
    ("product of polynomials, us", "transform_us"),
    ("secret of one silo, us", "key_us"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--parameters", type=int, default=1_000_000, metavar="N", help="values in an update (default: 1000000)"
    )
    parser.add_argument(
        "--instructions", action="store_true", help="also count the instructions of each step, with valgrind"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()

    def progress(step: str) -> None:
        console.print(step)

    # First, so that it fails before the rest has taken its time.
    counted = count_instructions(progress) if args.instructions else None
    measured = measure_kernel(args.parameters, progress)
    output.write_json(args.json, "quatrefoil.bench-kernel/1", {**measured, "instructions": counted})
    if output.only_json(args):
        return
    ceilings, operations = measured["ceilings"], measured["operations"]
    shape = f"{operations[0]['silos']} silos x {args.parameters} float32, 16 bits a value, one thread"
    _print(
        f"Ceilings of one thread: memory read {ceilings['read_gb_s']:.1f} GB/s, read and written by a copy "
        f"{ceilings['copy_gb_s']:.1f} GB/s, AES-256-CTR by OpenSSL {ceilings['openssl_aes_ctr_gb_s']:.1f} GB/s."
    )
    _table(shape, _OPERATIONS, operations)
    _table("A block of 4,096 words, on memory that stays near", _STEPS, measured["steps"])
    if counted is not None:
        rows = [(name, step) for name, step in _counted_names(counted)]
        _table("Instructions of a block; valgrind has no AVX-512", rows, counted)


def _counted_names(counted: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(step, step) for step in counted[0] if step != "level"]


def _table(
    title: str, names: tuple[tuple[str, str], ...] | list[tuple[str, str]], columns: list[dict[str, Any]]
) -> None:
    rows = [(name, *(_shown(column[key]) for column in columns)) for name, key in names]
    output.console().print(output.table(title, ("", *(column["level"] for column in columns)), rows))


def _shown(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def _print(line: str) -> None:
    output.console().print(line)
