from __future__ import annotations

import io
import threading

from batuta._console import Tee


def test_lines_of_several_threads_reach_the_log_one_after_another() -> None:
    together = threading.Barrier(2)
    met: list[bytes] = []

    def sink(line: bytes) -> None:
        try:
            together.wait(0.2)
        except threading.BrokenBarrierError:
            return
        met.append(line)

    tee = Tee(io.StringIO(), sink)
    threads = [threading.Thread(target=tee.write, args=(f"{number}\n",)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not met


def test_a_forked_child_does_not_say_its_parents_half_line_again() -> None:
    said: list[bytes] = []
    tee = Tee(io.StringIO(), said.append)
    tee.write("half")
    tee.forget()
    tee.write("whole\n")
    assert said == [b"whole\n"]
