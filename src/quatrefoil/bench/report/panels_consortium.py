"""Panels of what a consortium runs on: a committee in place of a keeper, many silos, and Flower around it."""

from __future__ import annotations

from quatrefoil.bench.report.panel import Column, Panel, Shown, ms
from quatrefoil.bench.report.pictures import grouped, lines, scale

CONSORTIUM: tuple[Panel, ...] = (
    Panel(
        "committee",
        "One update with its key at a keeper and in shares. A silo deals its key and seals a share to each member; a "
        "member opens and checks one share a contribution, and adds those of a roster of four. Sealed shares carry a "
        "signature and a certificate each.",
        (
            Shown(
                (
                    Column("Members", "members", ",d"),
                    Column("Answers needed", "recovery", ",d"),
                    Column("Learn nothing", "privacy", ",d"),
                    *ms(("Deal ms", "deal_ms"), ("Seal all ms", "seal_ms"), ("Seal to a keeper ms", "keeper_seal_ms")),
                    *ms(("Open ms", "open_ms"), ("Check ms", "check_share_ms"), ("Answer ms", "add_shares_ms")),
                    *ms(("Recover ms", "recover_ms"), ("Recover, with a lie, ms", "recover_with_liars_ms")),
                    Column("Sealed bytes a silo", "sealed_bytes", ",d"),
                    Column("Bytes of an answer", "answer_bytes", ",d"),
                )
            ),
            Shown(
                (
                    Column("Members", "members", ",d"),
                    Column("Values", "parameters", ",d"),
                    *ms(("Prove ms, keeper", "prove_ms"), ("committee", "prove_shared_ms")),
                    *ms(("Verify ms, keeper", "verify_ms"), ("committee", "verify_shared_ms")),
                    Column("Proof bytes, keeper", "proof_bytes", ",d"),
                    Column("committee", "proof_shared_bytes", ",d"),
                    Column("Soundness, bits", "soundness_bits", ".2f"),
                )
            ),
        ),
        lines(
            "What a committee costs by its size",
            "members",
            "ms",
            "rows",
            "members",
            {
                "a silo deals": "deal_ms",
                "a silo seals all shares": "seal_ms",
                "a member opens one": "open_ms",
                "a member checks one": "check_share_ms",
                "a member answers": "add_shares_ms",
                "the keys' sum recovered": "recover_ms",
            },
        ),
        "Milliseconds of a silo, a member and the recovery, against the number of members",
    ),
    Panel(
        "simulate",
        "Every machine of the protocol, with silos that stay away and silos that lie; the decrypted sum is exactly "
        "that of the honest. Processor and clock: of the server, for a contribution, all aggregators, keepers and the "
        "upper job in one process. The server's states and logs are on a disk, those of silos are not.",
        (
            Shown(
                (
                    Column("Silos", "silos", ",d"),
                    Column("Values", "parameters", ",d"),
                    Column("Groups", "groups", ",d"),
                    Column("Added", "accepted", ",d"),
                    Column("Refused by name", "refused", ",d"),
                    Column("Away", "absent", ",d"),
                    *ms(("Server, processor ms a silo", "server_ms_per_silo")),
                    *ms(("Server, clock ms a silo", "server_wall_ms_per_silo")),
                    *ms(("Silo: contribution ms", "silo_ms"), ("Silo: confirmation ms", "silo_confirm_ms")),
                    *ms(("Silo: result ms", "silo_accept_ms")),
                    Column("Bytes from a silo", "bytes_per_silo", ",d"),
                    Column("Bytes to a silo", "bytes_to_silo", ",d"),
                    Column("Server's memory at most, MB", "peak_rss_mb", ",.0f"),
                    Column("Enrolment, s", "enrolment_s", ",.1f"),
                ),
                once=True,
            ),
            Shown(
                (
                    Column("Step at the server", "step"),
                    *ms(("Processor ms a silo", "cpu_ms_per_silo"), ("Clock ms a silo", "wall_ms_per_silo")),
                ),
                "server_steps",
            ),
        ),
        grouped(
            "The server's work for a silo, by step",
            "ms",
            "server_steps",
            "step",
            {"processor": "cpu_ms_per_silo", "clock": "wall_ms_per_silo"},
        ),
        "Milliseconds of the server a silo, by step",
    ),
    Panel(
        "scale",
        "Unit costs from simulations of few silos, and rounds predicted from them: products, none of which ran. Rows "
        "may break limits, which the bench lists. The bench of a thousand silos measures one of them.",
        (
            Shown(
                (
                    Column("Silos", "silos", ",d"),
                    Column("Values", "values", ",d"),
                    Column("Groups", "groups", ",d"),
                    Column("Server ms a silo", "server_ms_per_silo", ",.1f"),
                    Column("All servers, on 16 cores, s", "on_16_cores_s", ",.1f"),
                    Column("A silo, s", "silo_s", ",.2f"),
                    Column("MB from a silo", "mb_from_silo", ",.1f"),
                    Column("All of it at 1 Gbit/s, s", "wire_s", ",.0f"),
                    Column("Breaks", "breaks"),
                )
            ),
            Shown(
                (
                    Column("Unit, measured", "unit"),
                    Column("Fixed", "fixed", ",.3f"),
                    Column("A value", "per_value", ".3e"),
                ),
                "units",
            ),
        ),
        scale,
        "Predicted milliseconds of the server a silo, against the number of silos, by size of the model",
    ),
    Panel(
        "flower",
        "One app inside Flower, with its own average and with the confidential strategy, over a real SuperLink and a "
        "SuperNode a silo, all on the same cores. Layers are those of one silo, the mean over all, for the whole run.",
        (
            Shown(
                (
                    Column("Silos", "silos", ",d"),
                    Column("Values", "parameters", ",d"),
                    Column("Rounds", "rounds", ",d"),
                    Column("Plain, s", "plain_s", ",.1f"),
                    Column("Confidential, s", "confidential_s", ",.1f"),
                    Column("Layers, ms a silo and round", "layers_ms_per_silo_and_round", ",.0f"),
                ),
                once=True,
            ),
            Shown((Column("Step of a silo", "step"), *ms(("ms", "ms")), Column("Bytes", "bytes", ",d")), "layers"),
        ),
        grouped("What the layers take of a silo", "ms", "layers", "step", {"ms": "ms"}),
        "Milliseconds of each layer at a silo inside Flower",
    ),
)
