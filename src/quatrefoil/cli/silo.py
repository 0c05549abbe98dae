"""``quatrefoil silo``: trains on its own data and sends encrypted updates."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit.commitments import code_digest
from quatrefoil.federation.commitments import Commitments
from quatrefoil.federation.user_code import as_arrays, call, count_samples, load_data, load_function, save_model
from quatrefoil.federation.vectors import Arrays
from quatrefoil.output import add_json_option, report, require_writable, write_json
from quatrefoil.parties.arguments import address, patience
from quatrefoil.parties.channels import aggregator_dialer
from quatrefoil.parties.options import add_enclave_option, add_party_options, add_pin_option
from quatrefoil.parties.party import PartyFiles, warn_insecure
from quatrefoil.parties.relying import add_relying_options
from quatrefoil.parties.running import Service, Stopped, add_running_options, ended_by_signal
from quatrefoil.parties.silo import data_commitment_of, provenance_of, silo_of, witness_of
from quatrefoil.services.silo import SiloService
from quatrefoil.services.vitals import Vitals

NAME = "silo"
HELP = "train on this silo's data with your own function, and send encrypted updates"


def configure(parser: argparse.ArgumentParser) -> None:
    add_party_options(parser)
    add_enclave_option(parser)
    add_relying_options(parser)
    parser.add_argument("--aggregator", required=True, type=address, metavar="HOST:PORT", help="where to connect to")
    add_pin_option(parser, "the aggregator")
    parser.add_argument(
        "--train", required=True, metavar="MODULE:FUNCTION", help="takes (parameters, data), returns parameters"
    )
    parser.add_argument(
        "--data", required=True, type=Path, metavar="FILE", help=".npz, .npy, .csv, or what the module's load() reads"
    )
    parser.add_argument(
        "--commit",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="a file or folder that load() reads besides; it is committed to like --data, in order not to be exchanged",
    )
    parser.add_argument("--samples", type=int, metavar="N", help="number of samples, if the data has no length")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the final model (.npz)")
    parser.add_argument(
        "--give-up",
        type=patience,
        default=600.0,
        metavar="S",
        help="seconds without the aggregator, or `never` (default: 600)",
    )
    add_running_options(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.out)
    with PartyFiles(options, "silo") as files:
        warn_insecure(files.policy)
        train = load_function(options.train)
        data = load_data(options.data, train)

        def train_once(parameters: Arrays) -> Sequence[NDArray[np.floating]]:
            return as_arrays(call(train, parameters, data), options.train)

        samples = options.samples if options.samples is not None else count_samples(data)
        commits = Commitments(data_commitment_of([options.data, *options.commit], files), code_digest(train) or b"")
        provenance = provenance_of(files)
        vitals = Vitals("silo")
        service = SiloService(
            silo_of(options, files, samples, commits),
            provenance,
            aggregator_dialer(options, files).connect,
            witness=witness_of(options, files),
            give_up=options.give_up,
            report=report,
            vitals=vitals,
        )
        try:
            with Service(options, vitals, files.state) as running, ended_by_signal():
                running.manager.ready()
                finished = service.run(train_once)
        except Stopped:
            report("stopped: started again with the same --state it goes on")
            return
        if (envelope := provenance.envelope()) is not None:
            report(f"statement of provenance: {files.keep_provenance(envelope)}")
    if options.out is not None:
        save_model(options.out, finished.model)
    report(f"{finished.rounds} rounds done, over {finished.group}")
    write_json(
        options.json,
        "quatrefoil.silo/1",
        {
            "silo": files.identity.name,
            "rounds": finished.rounds,
            "channels": [{"group": finished.group, "peer": finished.peer}],
            "insecure": list(files.policy.accept_insecure),
            "upper": finished.upper.hex() or None,
        },
    )
