import pytest
from network.choice import open_network
from network.loopback import Loopback
from network.network import MBPS, Rates
from network.scenarios import SCENARIOS, SEED, links, peer_links


def test_uplinks_repeat_beyond_eight_peers():
    rates = links("heterogeneous", 10)
    ups = [rates[f"peer-{number}"].up_bps / MBPS for number in range(1, 11)]
    assert ups == [5, 10, 15, 20, 25, 30, 40, 50, 5, 10]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_bounds_are_told_of_all_links_but_the_seeds(scenario):
    rates = links(scenario, 3)
    told = peer_links(rates)
    assert list(zip(told.up_bps, told.down_bps, strict=True)) == [
        (rate.up_bps, rate.down_bps) for host, rate in rates.items() if host != SEED
    ]
    assert told.peers == 3


def test_without_privileges_hosts_share_loopback_and_are_not_shaped(monkeypatch, capsys):
    monkeypatch.setattr("network.choice.available", lambda: "shaped links need root: run this as root")
    with open_network({"a": Rates(MBPS, MBPS)}) as network:
        assert isinstance(network, Loopback)
        assert not network.shaped
        assert network.command("a", ["true"]) == ["true"]
        assert network.received_bytes("a") is None
    assert "shaped links need root" in capsys.readouterr().err
