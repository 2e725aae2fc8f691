import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.aggregation.sparse_encoding import encoded_bytes
from fedswarm.devices.static import StaticClientTime
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.models.sparse_update import kept_weights
from fedswarm.training.local_work import LocalWork, Payload

HEADER_BYTES = 12


def layout(trainable, buffers):
    return Layout((TensorSpec("weight", (trainable,)), TensorSpec("mean", (buffers,), trainable=False)))


def test_work_follows_the_time_model_and_the_jobs_scales():
    device = StaticClientTime(compute_flops=1e9, link_mbps=72.0, compute_scale=30.0, network_scale=2.0)
    work = LocalWork.of(layout(900, 100), 16, device)
    assert work.step_flop == 3 * 1000 * 16 * 30
    assert work.upload_mbit == pytest.approx(2 * 2 * 4 * 1000 * 8 / 1e6)


def test_golden_payloads():
    assert Payload().share(1.0) == 1
    assert Payload().share(0.3) == 0.3 + 1 / 32
    assert Payload(fixed=0.0).share(0.3) == 0.3
    assert Payload().keep_within(0.5, 0.3) == 0.5 - 1 / 32
    assert Payload().keep_within(0.1, 0.3) == 0.3
    assert Payload().keep_within(1.2, 0.3) == 1


@given(st.integers(1, 3000), st.integers(0, 300), st.floats(0.01, 1))
def test_the_payload_is_that_of_the_bytes_that_are_sent(trainable, buffers, keep):
    """To the values that a fraction of a weight makes, the last byte of the bitmap and the header."""
    model = layout(trainable, buffers)
    share = Payload.of(model).share(keep)
    if share < 1:
        sent = encoded_bytes(model.size, kept_weights(trainable, keep) + buffers)
        assert sent - HEADER_BYTES == pytest.approx(share * model.nbytes, abs=5)


@given(st.integers(1, 3000), st.integers(0, 300), st.floats(0, 2), st.floats(0.01, 1))
def test_what_is_kept_fits_or_is_the_least(trainable, buffers, share, least):
    payload = Payload.of(layout(trainable, buffers))
    keep = payload.keep_within(share, least)
    assert least <= keep <= 1
    dense_is_smaller = payload.share(least) >= 1
    assert payload.share(keep) <= share + 1e-9 or keep == least or dense_is_smaller


@given(st.floats(0.001, 1), st.floats(0, 2), st.floats(0.01, 1))
def test_a_compressed_update_is_smaller_than_the_dense_one(trainable_share, share, least):
    payload = Payload(1 / 32 + 1 - trainable_share, trainable_share)
    keep = payload.keep_within(share, least)
    assert (payload.share(keep) < 1) == (keep < 1)
