import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fedswarm.errors import JobError
from fedswarm.jobs.fedscale_arguments import ALL_NAMES, ARGUMENTS
from fedswarm.jobs.load import parse_job
from fedswarm.jobs.selection_sections import PyramidFLSection

NO_DEADLINE = hypothesis_settings(deadline=None)
RUNNABLE = {"data_set": "fashion_mnist", "model": "cnn"}

# FedScale's published FEMNIST job, with this data set's and this machine's names.
FEMNIST = """\
ps_ip: 10.0.0.1
worker_ips:
    - 10.0.0.1:[2,1]
exp_path: $FEDSCALE_HOME/fedscale/cloud
executor_entry: execution/executor.py
aggregator_entry: aggregation/aggregator.py
auth:
    ssh_user: ""
    ssh_private_key: ~/.ssh/id_rsa
setup_commands:
job_conf:
    - job_name: femnist
    - log_path: $FEDSCALE_HOME/benchmark
    - num_participants: 50
    - data_set: femnist
    - data_dir: /data/femnist
    - data_map_file: /data/femnist/client_data_mapping/train.csv
    - model: resnet18
    - eval_interval: 10
    - rounds: 1000
    - filter_less: 21
    - num_loaders: 2
    - local_steps: 5
    - learning_rate: 0.05
    - batch_size: 20
    - test_bsz: 20
    - use_cuda: True
"""


def loaded(text="", **arguments):
    lines = [f"  - {name}: {value}" for name, value in {**RUNNABLE, **arguments}.items() if value is not None]
    return parse_job(text + "job_conf:\n" + "\n".join(lines) + "\n", "job.yml")


def told(text="", **arguments):
    with pytest.raises(JobError) as caught:
        loaded(text, **arguments)
    return str(caught.value)


def test_a_published_job_is_translated_whole():
    result = parse_job(FEMNIST)
    job = result.job
    assert result.form == "fedscale"
    assert (job.job_name, job.rounds, job.cluster.executors) == ("femnist", 1000, 3)
    assert (job.data.name, job.data.folder, job.data.min_samples) == ("femnist", "/data/femnist", 21)
    assert (job.data.partition.kind, job.data.partition.path) == (
        "data_map",
        "/data/femnist/client_data_mapping/train.csv",
    )
    assert (job.training.local_steps, job.training.batch_size, job.training.learning_rate) == (5, 20, 0.05)
    assert (job.selection.participants, job.evaluation.interval, job.evaluation.batch_size) == (50, 10, 20)


def test_fedscales_defaults_stand_in_for_absent_arguments():
    job = loaded().job
    assert (job.job_name, job.seed, job.rounds, job.cluster.executors) == ("demo_job", 233, 50, 1)
    assert (job.training.local_steps, job.training.batch_size, job.training.learning_rate) == (20, 30, 0.05)
    assert (job.training.min_learning_rate, job.training.decay_factor, job.training.decay_round) == (5e-5, 0.98, 10)
    assert (job.training.weight_decay, job.training.loss_decay, job.training.proximal_mu) == (0.0, 0.2, 0.0)
    assert (job.selection.participants, job.selection.overcommitment) == (4, 1.3)
    assert (job.evaluation.interval, job.evaluation.batch_size, job.evaluation.ratio) == (5, 128, 1.0)
    assert (job.data.min_samples, job.data.max_samples, job.devices.clock_factor) == (32, None, 1.0)


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("sample_seed", 7, ("seed",)),
        ("overcommitment", 1.1, ("selection", "overcommitment")),
        ("min_learning_rate", 1e-3, ("training", "min_learning_rate")),
        ("decay_factor", 0.5, ("training", "decay_factor")),
        ("decay_round", 3, ("training", "decay_round")),
        ("weight_decay", 8e-5, ("training", "weight_decay")),
        ("loss_decay", 0.3, ("training", "loss_decay")),
        ("test_ratio", 0.25, ("evaluation", "ratio")),
        ("budget_recheck_steps", 9, ("training", "adaptive", "recheck_steps")),
        ("ewma_lambda", 0.5, ("training", "adaptive", "ewma_lambda")),
        ("min_payload_frac", 0.2, ("training", "adaptive", "min_payload_frac")),
        ("run_phase_2", False, ("training", "adaptive", "run_phase_2")),
        ("t_budget", 358, ("selection", "t_budget_s")),
        ("clock_factor", 30, ("devices", "clock_factor")),
        ("filter_more", 900, ("data", "max_samples")),
        ("ps_port", 29500, ("cluster", "aggregator_port")),
        ("num_executors", 3, ("cluster", "executors")),
        ("experiment_mode", "deployment", ("experiment_mode",)),
    ],
)
def test_an_argument_reaches_its_setting(name, value, path):
    found = loaded(**{name: value}).job
    for step in path:
        found = getattr(found, step)
    assert found == value
    assert ARGUMENTS[name].target == path


def test_values_are_read_as_a_command_line_reads_them():
    job = loaded(learning_rate='"4e-5"', rounds="'12'", decay_round="10.0", job_name="2024").job
    assert (job.training.learning_rate, job.rounds, job.training.decay_round, job.job_name) == (4e-5, 12, 10, "2024")


def test_a_null_argument_counts_as_absent():
    assert loaded(rounds="null").job.rounds == 50


def test_fed_prox_turns_the_proximal_term_on_with_fedscales_strength():
    assert loaded(gradient_policy="fed-prox").job.training.proximal_mu == 0.1
    assert loaded(gradient_policy="fed-prox", proxy_mu=0.002).job.training.proximal_mu == 0.002


def test_the_proximal_strength_alone_does_nothing():
    assert loaded(proxy_mu=0.002).job.training.proximal_mu == 0.0


def test_a_path_is_expanded_as_a_shell_does(monkeypatch):
    monkeypatch.setenv("FEDSCALE_HOME", "/opt/fedscale")
    monkeypatch.setenv("HOME", "/home/ada")
    assert loaded(data_dir="$FEDSCALE_HOME/data").job.data.folder == "/opt/fedscale/data"
    assert loaded(data_dir="~/data").job.data.folder == "/home/ada/data"


@pytest.mark.parametrize("spelling", ["fashion_mnist", "fashion-mnist", "FashionMNIST"])
def test_the_embedded_data_set_goes_by_several_spellings(spelling):
    assert loaded(data_set=spelling).job.data.name == "fashion_mnist"


def test_data_sets_and_models_of_ones_own_are_named_by_reference():
    job = loaded(data_set="mine:data", model="mine:model").job
    assert (job.data.name, job.model.name) == ("mine:data", "mine:model")


def test_no_lower_limit_is_written_as_zero():
    """As two of FedScale's published jobs do; a client needs a sample all the same."""
    assert loaded(filter_less=0).job.data.min_samples == 1


def test_without_a_map_the_participants_share_the_data():
    result = loaded(num_participants=20)
    assert (result.job.data.clients, result.job.data.partition.kind) == (20, "iid")
    assert any("dealt evenly" in notice for notice in result.notices)


def test_executors_are_the_process_slots_of_all_workers():
    text = "worker_ips:\n  - 127.0.0.1:[2,1]\n  - localhost:[4]\n"
    assert loaded(text).job.cluster.executors == 7


def test_the_port_may_stand_at_the_top():
    assert loaded("ps_port: 29501\n").job.cluster.aggregator_port == 29501


@pytest.mark.parametrize("value", ['"False"', "False", "false", "0", "no"])
def test_legacy_untruths_are_read_by_meaning(value):
    assert loaded(adaptive_training=value).job.training.adaptive.enabled is False


@pytest.mark.parametrize("value", ['"True"', "True", "1", "yes"])
def test_legacy_truths_are_read_by_meaning(value):
    assert loaded(adaptive_training=value).job.training.adaptive.enabled is True


def test_a_word_that_is_no_truth_is_told():
    assert "job.yml:4:24: job_conf.adaptive_training: 'maybe' does not fit; it takes true or false" in told(
        adaptive_training="maybe"
    )


def test_keys_of_no_use_share_one_notice():
    notices = loaded("setup_commands: [a]\nexp_path: x\n", wandb_token="t", use_cuda=True, backend="gloo").notices
    (line,) = [notice for notice in notices if notice.startswith("without effect")]
    assert line == "without effect here: exp_path, setup_commands, wandb_token, use_cuda, backend"


def test_device_profiles_have_a_notice_of_their_own():
    assert any("clients_file" in notice for notice in loaded(clients_file="/x.pkl").notices)


def test_the_later_of_two_values_counts_and_is_noticed():
    text = "job_conf:\n- data_set: fashion_mnist\n- model: cnn\n- rounds: 3\n- rounds: 4\n"
    result = parse_job(text, "job.yml")
    assert result.job.rounds == 4
    assert "job.yml:5:3: rounds was set before, at job.yml:4:3; the later value counts" in result.notices


def test_overrides_use_our_own_names():
    text = "job_conf:\n- data_set: fashion_mnist\n- model: cnn\n"
    assert parse_job(text, "job.yml", ["data.clients=100"]).job.data.clients == 100


@pytest.mark.parametrize(
    ("arguments", "override"),
    [
        ({"model": "shufflenet_v2_x2_0"}, "model.name=cnn"),
        ({"model": "shufflenet_v2_x2_0"}, "model={name: cnn}"),
        ({"data_set": "google_speech"}, "data.name=fashion_mnist"),
        ({"data_set": "cifar10"}, "data.folder=images"),
        ({"data_set": "cifar10"}, "data.name=fashion_mnist"),
        ({"data_dir": "$A_VARIABLE_NOBODY_HAS_SET"}, "data.folder="),
        ({"sample_mode": "blis"}, "selection.policy=bliss"),
    ],
)
def test_what_is_not_here_can_be_replaced_on_the_command_line(arguments, override):
    lines = [f"- {name}: {value}\n" for name, value in {**RUNNABLE, **arguments}.items()]
    text = "job_conf:\n" + "".join(lines)
    with pytest.raises(JobError):
        parse_job(text)
    assert parse_job(text, overrides=[override]).form == "fedscale"


def test_an_override_of_something_else_mends_nothing():
    with pytest.raises(JobError, match="shufflenet"):
        parse_job("job_conf:\n- data_set: fashion_mnist\n- model: shufflenet_v2_x2_0\n", overrides=["model.options={}"])


def test_an_absent_argument_whose_default_cannot_be_honoured_is_told():
    message = told(model=None, data_set=None)
    assert "job_conf.model (absent, FedScale's default): 'shufflenet_v2_x2_0' is not in this build" in message
    assert "job_conf.data_set (absent, FedScale's default): cifar10 is not shipped" in message


@pytest.mark.parametrize(
    "name",
    ["data_set", "model", "sample_mode", "gradient_policy", "engine", "adaptive_training", "data_dir", "data_map_file"],
)
@pytest.mark.parametrize(("value", "words"), [("{a: 1}", "a section"), ("[a]", "a list")])
def test_a_collection_is_no_name(name, value, words):
    assert f"job_conf.{name}: {words} " in told(**{name: value})


def test_the_home_of_an_unknown_user_is_told():
    assert "home of an unknown user" in told(data_dir="~nobody-of-that-name/data")


def test_no_container_is_no_mistake():
    assert loaded("use_container: False\nnum_aggregators: '1'\n").job.rounds == 50


def test_an_unknown_policy_is_refused_with_what_there_is():
    assert told(sample_mode="blis").endswith("this build has random, oort, pyramidfl, bliss; did you mean bliss?")


def test_arguments_that_oort_and_bliss_share_set_those_of_the_policy_in_use():
    selection = loaded(sample_mode="bliss", pacer_delta=10, round_penalty=1).job.selection
    assert (selection.bliss.pacer_delta, selection.bliss.round_penalty, selection.bliss.pacer_step) == (10, 1, 20)
    assert selection.oort.pacer_delta is None


def test_the_regressors_of_bliss_have_fedscales_defaults_and_arguments():
    bliss = loaded(
        sample_mode="bliss", g_model="mlp", mlp_g_hidden_layer_sizes="32,16", xgboost_h_max_depth=3
    ).job.selection.bliss
    assert (bliss.fidelity, bliss.g.model, bliss.g.mlp.layer_sizes) == ("reference", "mlp", (32, 16))
    assert (bliss.h.model, bliss.h.xgboost.max_depth, bliss.h.xgboost.n_estimators) == ("xgboost", 3, 300)


def test_a_policys_arguments_count_with_fedscales_defaults_under_its_name():
    section = loaded(sample_mode="oort", pacer_delta=10, cut_off_util="0.4").job.selection.oort
    assert (section.fidelity, section.pacer_delta, section.cut_off_util) == ("reference", 10, 0.4)
    assert (section.exploration_min, section.clip_bound, section.blacklist_rounds) == (0.3, 0.9, -1)


def test_arguments_of_a_policy_that_is_not_in_use_are_told_to_be_without_effect():
    result = loaded(sample_mode="oort", dropout_a=7)
    assert "without effect here: dropout_a" in result.notices
    assert result.job.selection.pyramidfl == PyramidFLSection()


def test_every_argument_of_fedscale_is_known():
    assert len(ALL_NAMES) > 150


@NO_DEADLINE
@given(
    st.dictionaries(
        st.sampled_from(sorted(ALL_NAMES)),
        st.one_of(st.none(), st.integers(), st.text("ab~/:[]1.$", max_size=5), st.just([1]), st.just({"a": 1})),
        max_size=6,
    )
)
def test_any_arguments_are_a_job_or_located_mistakes(arguments):
    lines = [f"- {name}: {'' if value is None else repr(value)}" for name, value in arguments.items()]
    try:
        parse_job("job_conf:\n" + "\n".join(lines or ["- rounds: 1"]), "job.yml")
    except JobError as error:
        assert all(line.startswith("job.yml:") for line in str(error).splitlines())
