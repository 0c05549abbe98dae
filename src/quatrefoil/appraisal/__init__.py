"""Evidence held to a policy that the relying party wrote: what is accepted, and why not (RFC 9334 section 8.5)."""

from quatrefoil.appraisal.measured import measurement_of
from quatrefoil.appraisal.policy import AppraisalPolicy
from quatrefoil.appraisal.reader import load, named, parse
from quatrefoil.appraisal.relied import Relied
from quatrefoil.appraisal.verdict import Verdict, appraise, appraise_set
from quatrefoil.appraisal.verifiers import verify, verify_set

__all__ = [
    "AppraisalPolicy",
    "Relied",
    "Verdict",
    "appraise",
    "appraise_set",
    "load",
    "measurement_of",
    "named",
    "parse",
    "verify",
    "verify_set",
]
