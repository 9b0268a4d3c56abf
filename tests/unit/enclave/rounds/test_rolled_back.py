# SPDX-License-Identifier: Apache-2.0
"""What a host that puts its store back does to a round, as long as nobody witnesses the log."""

from typing import Any

from tests.support import rounds


def test_a_round_is_released_again_from_another_update(play: Any) -> None:
    """One client sends zeros the second time: the difference tells what the sums without it are."""

    async def story(stage: Any, federation: Any) -> None:
        host = stage.host
        *most, last = federation.terms.roster
        await federation.send_all(*most)
        entries, documents, secrets = host.entries[:], dict(host.documents), dict(host.secrets)
        checkpoint, lives = host.checkpoint, list[tuple[str, str]]()
        for number in range(2):
            await federation.send(last, rounds.Sent.of(rounds.vector(99) * (1 - number)))
            await federation.close(1)
            await federation.aggregate(1)
            [aggregate] = federation.entries("release")
            lives.append((aggregate["proposal"], federation.entries("update")[-1]["update"]))
            await stage.end()
            host.entries, host.documents, host.secrets = entries[:], dict(documents), dict(secrets)
            host.checkpoint = checkpoint
            await stage.boot()
        (first, sent), (second, other) = lives
        assert first == second == federation.digest
        assert sent != other

    play(story)
