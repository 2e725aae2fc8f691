import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fedswarm.errors import JobError
from fedswarm.jobs.load import parse_job
from fedswarm.jobs.resolved import dump_job
from fedswarm.jobs.schema import Job
from fedswarm.jobs.vocabulary import settings

NO_DEADLINE = hypothesis_settings(deadline=None)

# A valid value other than the default for every setting, so that setting it must show.
ANOTHER = {
    "job_name": "another",
    "experiment_mode": "deployment",
    "cluster.launcher": "local",
    "cluster.host": "localhost",
    "cluster.heartbeat_s": "2",
    "data.name": "mnist",
    "data.folder": "somewhere",
    "data.partition.kind": "shards",
    "data.partition.path": "map.csv",
    "model.name": "lr",
    "model.options": "{width: 3}",
    "training.decay_factor": "0.5",
    "training.momentum": "0.5",
    "training.loss_decay": "0.5",
    "training.adaptive.enabled": "true",
    "training.adaptive.ewma_lambda": "0.5",
    "training.adaptive.min_payload_frac": "0.5",
    "training.adaptive.run_phase_2": "false",
    "selection.policy": "oort",
    "selection.options": "{width: 3}",
    "selection.oort.fidelity": "reference",
    "selection.oort.exploration_factor": "0.5",
    "selection.oort.exploration_decay": "0.5",
    "selection.oort.exploration_min": "0.5",
    "selection.oort.clip_bound": "0.5",
    "selection.oort.cut_off_util": "0.5",
    "selection.oort.blacklist_max_len": "0.5",
    "selection.pyramidfl.fidelity": "reference",
    "selection.pyramidfl.dropout": "false",
    "selection.pyramidfl.adapt_steps": "false",
    "selection.pyramidfl.dropout_low": "0.5",
    "selection.pyramidfl.dropout_high": "0.5",
    "selection.bliss.fidelity": "reference",
    "selection.bliss.ranking": "weighted",
    "selection.bliss.collect_data": "true",
    "selection.bliss.brands": "brands.json",
    "selection.bliss.model_clusters": "clusters.json",
    **{
        f"selection.bliss.{regressor}.{setting}": value
        for regressor in "gh"
        for setting, value in {
            "model": "mlp",
            "mlp.hidden_layers": "'8,8'",
            "xgboost.learning_rate": "0.5",
            "xgboost.subsample": "0.5",
            "xgboost.colsample_bytree": "0.5",
        }.items()
    },
    "aggregation.mode": "decentralized",
    "aggregation.algorithm": "fedavg",
    "aggregation.weighting": "uniform",
    "aggregation.grid_bits": "30",
    "aggregation.missing": "shrink",
    "evaluation.ratio": "0.5",
    "evaluation.before_averaging": "true",
    "devices.population": "default",
    "exchange.broadcast": "direct",
    "exchange.reduce": "direct",
    "exchange.chunk_kib": "64",
    "exchange.shaping.link": "smartphone_low",
    "exchange.reach": "neighbours",
    "exchange.importance": "snip",
    "exchange.quorum": "0.25",
    "exchange.topology.kind": "ring",
    "exchange.topology.probability": "0.5",
    "exchange.topology.rewiring": "0.5",
    "exchange.topology.hub": "'2'",
    "exchange.topology.links": "1-2",
}
# Settings that count only beside others.
BESIDE = {
    "aggregation.mode": ("experiment_mode=deployment",),
    "evaluation.before_averaging": ("experiment_mode=deployment", "aggregation.mode=decentralized"),
    "exchange.topology.degree": ("exchange.topology.kind=k_regular",),
    "exchange.topology.arity": ("exchange.topology.kind=tree",),
    "exchange.topology.probability": ("exchange.topology.kind=erdos_renyi",),
    "exchange.topology.rewiring": ("exchange.topology.kind=small_world",),
    "exchange.topology.rows": ("exchange.topology.kind=torus",),
    "exchange.topology.hub": ("exchange.topology.kind=star",),
    "exchange.topology.links": ("exchange.topology.kind=custom",),
}
LEAVES = [setting.dotted for setting in settings().values() if not setting.is_section]


def overridden(*overrides, text="{}"):
    return parse_job(text, "job.yml", overrides).job


def value_at(job, dotted):
    value = job
    for step in dotted.split("."):
        value = getattr(value, step)
    return value


def told(*overrides, text="{}"):
    with pytest.raises(JobError) as caught:
        parse_job(text, "job.yml", overrides)
    return str(caught.value)


@pytest.mark.parametrize("dotted", LEAVES)
def test_every_setting_can_be_set(dotted):
    job = overridden(*BESIDE.get(dotted, ()), f"{dotted}={ANOTHER.get(dotted, '7')}")
    only_choice = settings()[tuple(dotted.split("."))].choices == (value_at(Job(), dotted),)
    assert value_at(job, dotted) != value_at(Job(), dotted) or only_choice


def test_the_last_of_two_overrides_wins():
    assert overridden("rounds=3", "rounds=4").rounds == 4


def test_an_override_beats_the_file():
    assert overridden("rounds=3", text="rounds: 9").rounds == 3


def test_a_free_option_of_the_model_can_be_set():
    assert overridden("model.options.width=3").model.options == {"width": 3}


def test_a_value_may_hold_an_equals_sign():
    assert overridden("data.folder=a=b").data.folder == "a=b"


@pytest.mark.parametrize("nothing", ["", "null", "~"])
def test_null_takes_an_optional_setting_back(nothing):
    job = overridden(f"training.local_steps={nothing}", text="training: {local_steps: 3}")
    assert job.training.local_steps is None


def test_an_override_changes_one_use_of_an_alias():
    text = "training: &same {batch_size: 8}\nevaluation: *same\n"
    job = overridden("training.batch_size=9", text=text)
    assert (job.training.batch_size, job.evaluation.batch_size) == (9, 8)


def test_a_section_is_replaced_whole():
    job = overridden("training={batch_size: 3}", text="training: {local_steps: 3}")
    assert (job.training.batch_size, job.training.local_steps) == (3, None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rounds", "--set rounds: not path=value; write e.g. --set training.batch_size=32"),
        ("=3", "--set =3: not path=value"),
        ("a..b=3", "--set a..b=3: not path=value"),
        ("rounds.x=3", "--set rounds.x=3: rounds.x: rounds has no keys below it; it takes a whole number"),
        (
            "training.batch_sise=3",
            "--set training.batch_sise=3: training.batch_sise: unknown key; did you mean batch_size?",
        ),
        ("training.batch_size=x", "--set training.batch_size=x: training.batch_size: 'x' does not fit"),
        ("seed={", "--set seed={: seed: not YAML"),
        ("data={name: a, name: b}", "--set data={name: a, name: b}: data.name: written twice"),
    ],
)
def test_a_wrong_override_is_told_in_one_line(override, message):
    assert told(override).startswith(message)


@NO_DEADLINE
@given(st.text(max_size=20))
def test_any_override_is_taken_or_told(override):
    try:
        dump_job(overridden(override))
    except JobError as error:
        assert str(error).startswith("--set ")
