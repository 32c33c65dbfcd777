"""How `airband audacity` handles an Audacity that answers oddly."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bridge.daw.audacity.pipe import Pipe
from presets.errors import HostError, InputError

Answering = Callable[[bytes], AbstractContextManager[Pipe]]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems have no named pipes")


@pytest.fixture
def answering(tmp_path: Path) -> Answering:
    """`with answering(bytes) as pipe`: a pipe on which every command gets this answer."""

    @contextmanager
    def answer(text: bytes) -> Iterator[Pipe]:
        names = [tmp_path / f"audacity_script_pipe.{way}.{os.getuid()}" for way in ("to", "from")]
        for name in names:
            os.mkfifo(name)

        def other_end() -> None:
            with names[0].open("rb") as commands, names[1].open("wb", buffering=0) as answers:
                for _ in commands:
                    answers.write(text)

        thread = threading.Thread(target=other_end)
        thread.start()
        try:
            with Pipe(tmp_path) as pipe:
                yield pipe
        finally:
            thread.join(60)

    return answer


@pytest.mark.parametrize("text", ['a "name"', "two\nHelp:", "two\rHelp:", "nul\0"])
def test_a_text_that_would_be_another_command_is_refused(answering: Answering, text: str) -> None:
    with answering(b"BatchCommand finished: OK\n\n") as pipe:
        assert pipe.do("SetTrackStatus", Name="it's fine") == ""
        with pytest.raises(InputError, match="double quotes or line ends"):
            pipe.do("SetTrackStatus", Name=text)


def test_a_list_that_is_no_json_is_an_error_of_the_host(
    answering: Answering,
) -> None:
    answer = b'[ { "name":"say "hi"" } ]\nBatchCommand finished: OK\n\n'
    with answering(answer) as pipe, pytest.raises(HostError, match="list of Tracks cannot be read"):
        pipe.info("Tracks")


def test_what_others_put_where_the_pipes_lie_hears_nothing(tmp_path: Path) -> None:
    (tmp_path / f"audacity_script_pipe.to.{os.getuid()}").write_bytes(b"")
    with pytest.raises(HostError, match="not a pipe of yours"):
        Pipe(tmp_path)
