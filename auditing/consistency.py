# SPDX-License-Identifier: Apache-2.0
"""Does a log extend what was seen of it? For relying parties: the authority keeps its own tree."""

from collections.abc import Sequence

from placet.governance.log import EMPTY_ROOT, Checkpoint, node_hash
from placet.governance.log.merkle import check_shape, skip_to_left_child
from placet.refusals import LogCheckpointInvalid, LogForked, LogProofInvalid, LogTruncated


def verify_extends(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> Checkpoint:
    """Return `new` once `proof` shows that its log extends the log of `old`.

    `proof` is empty when the sizes are equal or `old` is empty. Raises, in this order,
    `LogCheckpointInvalid` for another origin, `LogTruncated` when `new` is smaller,
    `LogForked` when it has another root at the same size or the proof fails.
    """
    if new.origin != old.origin:
        raise LogCheckpointInvalid(
            "The two checkpoints are of different logs; fetch the checkpoint again, and report the "
            "log if it stays so.",
            expected=old.origin,
            actual=new.origin,
        )
    if new.size < old.size:
        raise LogTruncated(
            f"The log had {old.size} entries and now shows {new.size}; do not use it, keep both "
            "checkpoints and report it to the organisations.",
            expected=f"at least {old.size}",
            actual=str(new.size),
        )
    try:
        verify_consistency(old.size, new.size, old.root, new.root, proof)
    except LogProofInvalid:
        raise LogForked(
            f"The log of {new.size} entries is not shown to extend the log of {old.size}; do not "
            "use it, keep both checkpoints and report it to the organisations.",
            claim=f"{old.size} to {new.size}",
        ) from None
    return new


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bytes:
    """Return `new_root` once `proof` shows that the new tree begins with the whole old tree.

    Every tree extends the empty one and itself, by an empty proof. Raises `LogProofInvalid`.
    Source: RFC 9162 section 2.1.4.2, which leaves out these two cases.
    """
    if not 0 <= old_size <= new_size:
        raise _not_consistent(old_size, new_size)
    check_shape(proof)
    if old_size in (0, new_size):
        same = old_root == (new_root if old_size == new_size else EMPTY_ROOT)
        if proof or not same or (new_size == 0 and new_root != EMPTY_ROOT):
            raise _not_consistent(old_size, new_size)
        return new_root
    path = list(proof)
    if not path:  # step 1
        raise _not_consistent(old_size, new_size)
    if old_size & (old_size - 1) == 0:  # step 2
        path.insert(0, old_root)
    node, last = old_size - 1, new_size - 1  # step 3
    while node & 1:  # step 4
        node, last = node >> 1, last >> 1
    found_old = found_new = path[0]  # step 5
    for sibling in path[1:]:  # step 6
        if last == 0:
            raise _not_consistent(old_size, new_size)
        if node & 1 or node == last:
            found_old = node_hash(sibling, found_old)
            found_new = node_hash(sibling, found_new)
            node, last = skip_to_left_child(node, last)
        else:
            found_new = node_hash(found_new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or found_old != old_root or found_new != new_root:  # step 7
        raise _not_consistent(old_size, new_size)
    return new_root


def _not_consistent(old_size: int, new_size: int) -> LogProofInvalid:
    return LogProofInvalid(
        f"The proof does not show that the log of {new_size} entries extends the log of "
        f"{old_size}; keep both checkpoints, and report the log if a fresh proof fails too.",
        claim=f"{old_size} to {new_size}",
    )
