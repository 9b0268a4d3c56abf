# SPDX-License-Identifier: Apache-2.0
"""What a client refuses by itself, beside the reasons of the contract in `placet.refusals`.

Messages never hold keys, plaintexts or rationales.
"""

from placet.refusals import QuestionInvalid, Refusal


class Unreachable(Refusal):
    """The host gave no answer; whether it did what was asked is not known."""

    reason = ""


class HostUnreachable(Unreachable):
    """There is no connection to the host, or the connection broke off. Check the address and the
    network, then try again."""


class CallTimedOut(Unreachable):
    """The host did not answer before the client's own deadline. Try again."""


class HostPinMismatch(Unreachable):
    """Whoever answers does not hold the pinned certificate. Ask the host's operator for the
    certificate, and pin it with `placet init`."""


class HostCertificateRefused(Unreachable):
    """The CA that the home trusts does not vouch for the host's certificate, or it names no host.
    Ask the host's operator for the CA and the name."""


class AnswerMalformed(Refusal):
    """No host of this version gives this answer: it breaks the contract, or contradicts the
    request. Do not rely on it, and report the host."""


class EvidenceSimulated(Refusal):
    """No hardware vouches for the enclave that would get something secret. Use a host with real
    hardware, or accept simulated evidence with --simulated."""


class InputRefused(Refusal):
    """What the caller gave cannot be used; nothing was sent."""

    reason = ""


class FileRefused(InputRefused):
    """A file is missing, or is not what it should be. Give the file that the message names."""


class KeyFileRefused(InputRefused):
    """A key file can be read by others, or is no key file. Give it the mode 600, or make another
    with `placet keygen`."""


class PassphraseWrong(InputRefused):
    """The passphrase does not open the key file. Try again with the right passphrase."""


class SettingMissing(InputRefused):
    """A setting that this needs is not configured. Set it with `placet init`."""


class QuestionRefused(QuestionInvalid, InputRefused):
    """Arrays that the model does not take, found at home. Compare them with the model's inputs."""


class StateRefused(InputRefused):
    """A model's state does not fit the federation, or has values that nobody could use. Train from
    the round's model, with its names and shapes."""


class UsageRefused(InputRefused):
    """Arguments are missing, or do not go together. Compare them with --help."""

    reason = "USAGE"
