import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import broadcast
import pytest
from network.loopback import Loopback
from network.network import MBPS
from network.scenarios import links
from network.star import available
from trial.contest import Course
from trial.trial import Outcome

PROGRAM = Path(__file__).parents[2] / "benchmark" / "broadcast.py"


@pytest.fixture
def task(tmp_path):
    data = tmp_path / "data"
    data.write_bytes(bytes(1_000_000))
    return broadcast.Task(links("slow_seed", 2), data, uplinks_known=True)


def test_the_bound_is_the_fluid_one(task):
    assert task.bound_s == pytest.approx(8e6 / (10 * MBPS))  # the seed's own uplink


@pytest.mark.parametrize("contender", broadcast.CONTENDERS)
def test_one_process_a_host_and_the_seed_alone_has_the_data(task, contender):
    course = Course(Loopback(), task.rates, Path("folder"))
    commands = broadcast.CONTENDERS[contender](task, course)
    assert list(commands) == ["seed", "peer-1", "peer-2"]
    assert ["--data" in command for command in commands.values()] == [True, False, False]


def test_processes_are_told_rates_only_where_links_have_none(task):
    class Shaped(Loopback):
        shaped = True

    by_process = Course(Loopback(), task.rates, Path("folder")).words("peer-1")
    by_link = Course(Shaped(), task.rates, Path("folder")).words("peer-1")
    assert by_process[-4:] == ["--up-mbps", "50.0", "--down-mbps", "50.0"]
    assert by_link == by_process[:-4]


def test_other_bytes_than_the_sources_end_the_measurement(task):
    wrong = Outcome({}, {"seed": {"digest": "0"}}, None)
    with pytest.raises(SystemExit, match="fedswarm: seed ended with bytes that the source never had"):
        broadcast.check("fedswarm", wrong, task.data)


@pytest.mark.parametrize("peers", ["0", "201"])
def test_a_number_of_peers_out_of_range_is_a_wrong_command_line(peers, capsys):
    with pytest.raises(SystemExit):
        broadcast.parser().parse_args(["--peers", peers])
    assert f"{peers} is not from 1 to 200" in capsys.readouterr().err


@pytest.mark.cluster
@pytest.mark.skipif(available() is not None, reason=available() or "")
@pytest.mark.parametrize(
    "contender",
    ["fedswarm", pytest.param("libtorrent", marks=pytest.mark.skipif(not find_spec("libtorrent"), reason="the extra"))],
)
def test_a_broadcast_over_shaped_links_cannot_beat_the_bound(contender):
    words = ["--peers", "2", "--size-mb", "1", "--runs", "1", "--contenders", contender, "--json"]
    done = subprocess.run([sys.executable, str(PROGRAM), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["contenders"][contender]
    assert figures["ratio"] > 1.0
    assert figures["wire_overhead_percent"] > 4.0  # packet headers
