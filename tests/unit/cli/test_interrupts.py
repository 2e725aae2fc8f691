import os
import signal

import pytest

from fedswarm.cli.interrupts import counted_interrupts, on_interrupt


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_is_counted_and_interrupts_nothing():
    with counted_interrupts() as interrupts:
        press_ctrl_c()
        press_ctrl_c()
    assert interrupts.count == 2


def test_afterwards_ctrl_c_is_what_it_was():
    with counted_interrupts():
        pass
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it(monkeypatch):
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with on_interrupt(lambda: pytest.fail("not ignored")):
            press_ctrl_c()
    finally:
        signal.signal(signal.SIGINT, usual)
