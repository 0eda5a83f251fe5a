"""Many requests, few drawings, the last state always drawn: alone, on an event loop, and in a real kernel."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import nbclient
import nbformat.v4

from facedepth_kit.panels.debouncer import Debouncer


def test_without_a_loop_work_is_done_at_once() -> None:
    done: list[int] = []
    debouncer = Debouncer(lambda: done.append(len(done)))
    for _ in range(3):
        debouncer.ask({"name": "value"})
    assert done == [0, 1, 2]
    assert not debouncer.due


def test_a_burst_is_done_once_and_finish_does_it_now() -> None:
    state, seen = [0], list[int]()
    debouncer = Debouncer(lambda: seen.append(state[0]))

    async def burst() -> None:
        for state[0] in range(1, 51):
            debouncer.ask()
        assert seen == []
        debouncer.finish()
        assert seen == [50]
        assert not debouncer.due
        await asyncio.sleep(0.1)

    asyncio.run(burst())
    assert seen == [50]
    debouncer.finish()
    assert seen == [50]


def test_a_drag_that_never_pauses_is_shown_on_the_way() -> None:
    state, seen = [0], list[int]()
    debouncer = Debouncer(lambda: seen.append(state[0]), quiet_s=0.01, patience_s=0.05)

    async def drag() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            state[0] += 1
            debouncer.ask()
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.1)

    asyncio.run(drag())
    assert len(seen) >= 2
    assert seen[-1] == state[0]


def test_work_that_fails_leaves_the_next_request_free() -> None:
    calls: list[str] = []

    def work() -> None:
        calls.append("called")
        raise ValueError("no picture")

    debouncer = Debouncer(work)

    async def twice() -> list[str]:
        problems: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(str(context["exception"])))
        for _ in range(2):
            debouncer.ask()
            await asyncio.sleep(0.05)
        return problems

    assert asyncio.run(twice()) == ["no picture", "no picture"]
    assert len(calls) == 2


KERNEL_SIDE = """
import time
import ipywidgets
from facedepth_kit.panels.debouncer import Debouncer

slider = ipywidgets.IntSlider(max=10_000)
seen = []


def draw():
    time.sleep(0.04)
    seen.append(slider.value)


debouncer = Debouncer(draw)
slider.observe(debouncer.ask, names="value")
print(slider.model_id)
"""


def test_a_real_kernel_draws_a_dragged_slider_a_few_times_and_ends_at_the_last_value() -> None:
    # What a browser sends when a slider is dragged, faster than any picture could be drawn.
    steps = 200
    cells = [
        nbformat.v4.new_code_cell(source)
        for source in (KERNEL_SIDE, "print(debouncer.asked, len(seen), seen[-1] if seen else 0)")
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=60)
    with client.setup_kernel():
        client.execute_cell(cells[0], 0)
        model = cells[0].outputs[0].text.strip()
        kernel: Any = client.kc
        for value in range(1, steps + 1):
            content = {"comm_id": model, "data": {"method": "update", "state": {"value": value}, "buffer_paths": []}}
            kernel.shell_channel.send(kernel.session.msg("comm_msg", content))
        for _ in range(60):  # what is due comes behind what is read
            time.sleep(0.25)
            client.execute_cell(cells[1], 1)
            asked, drawn, last = map(int, cells[1].outputs[0].text.split())
            if last == steps:
                break
    assert (asked, last) == (steps, steps)
    assert drawn <= steps // 8
