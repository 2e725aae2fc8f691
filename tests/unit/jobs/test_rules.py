import pytest
from pydantic import ValidationError

from fedswarm.errors import JobError
from fedswarm.jobs.load import parse_job
from fedswarm.jobs.schema import ClusterSection, Job


def complaint_about(text, *overrides):
    with pytest.raises(JobError) as caught:
        parse_job(text, "job.yml", overrides)
    return str(caught.value)


def test_death_takes_two_heartbeats():
    assert parse_job("cluster: {dead_after_s: 2, heartbeat_s: 1}").job.cluster.dead_after_s == 2
    text = "cluster: {dead_after_s: 1.9, heartbeat_s: 1}"
    assert complaint_about(text).startswith("job.yml:1:25: cluster.dead_after_s: dead_after_s 1.9 is less")


def test_a_rule_that_a_default_breaks_is_told_where_something_was_written():
    assert complaint_about("cluster: {heartbeat_s: 7}").startswith(
        "job.yml:1:24: cluster.heartbeat_s: dead_after_s 6 is"
    )
    assert complaint_about("{}", "cluster.heartbeat_s=7").startswith("--set cluster.heartbeat_s=7: cluster.heartbeat_s")


def test_heartbeats_have_a_shortest_interval():
    assert "a number of at least 0.05" in complaint_about("cluster: {heartbeat_s: 0.01}")


@pytest.mark.parametrize("word", ["all", "latest"])
def test_a_word_of_the_command_line_is_no_name(word):
    assert complaint_about(f"job_name: {word}").startswith(f"job.yml:1:11: job_name: `fedswarm stop {word}` means")


def test_aggregator_and_tracker_have_ports_of_their_own():
    assert parse_job("cluster: {aggregator_port: 7001, tracker_port: 7002}").job.cluster.tracker_port == 7002
    told = complaint_about("cluster: {aggregator_port: 7001, tracker_port: 7001}")
    assert told.startswith("job.yml:1:28: cluster.aggregator_port: aggregator and tracker cannot both listen on port")


def test_in_deployment_every_executor_has_a_shard():
    job = "experiment_mode: deployment\ndata: {clients: 4}\ncluster: {executors: %d}\n"
    assert parse_job(job % 4).job.cluster.executors == 4
    assert complaint_about(job % 5).startswith("job.yml:3:22: cluster.executors: 5 executors cannot share 4 shards")
    assert parse_job("data: {clients: 4}\ncluster: {executors: 5}").job.cluster.executors == 5


def test_a_round_never_has_more_results_than_participants():
    assert parse_job("selection: {participants: 4, min_clients: 4}").job.selection.min_clients == 4
    told = complaint_about("selection: {participants: 4, min_clients: 5}")
    assert told.startswith("job.yml:1:43: selection.min_clients: a round ends with 4 results")


@pytest.mark.parametrize("training", ["{adaptive: {enabled: true}}", "{local_epochs: 2}"])
def test_pyramidfl_decides_alone_how_long_clients_train(training):
    told = complaint_about(f"selection: {{policy: pyramidfl}}\ntraining: {training}\n")
    assert told.startswith("job.yml:1:21: selection.policy: pyramidfl")


@pytest.mark.parametrize("partition", ["{kind: natural}", "{kind: data_map, path: map.csv}"])
def test_data_that_bring_their_own_clients_are_counted_when_they_are_read(partition):
    text = f"experiment_mode: deployment\ndata: {{clients: 1, partition: {partition}}}\n"
    assert parse_job(text).job.cluster.executors == 2


def test_a_rule_about_a_value_that_does_not_fit_waits_for_the_value():
    told = complaint_about("cluster: {heartbeat_s: often, dead_after_s: 0.01}")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClusterSection(dead_after_s=1.0),
        lambda: Job.model_validate({"training": {"local_steps": 1, "local_epochs": 1}}),
    ],
    ids=["a section", "a job"],
)
def test_rules_hold_for_jobs_made_in_python_too(make):
    with pytest.raises(ValidationError):
        make()


def test_each_tracker_has_a_port():
    assert parse_job("cluster: {trackers: 3, tracker_port: 65533}").job.cluster.trackers == 3
    told = complaint_about("cluster: {trackers: 3, tracker_port: 65534}")
    assert told.startswith("job.yml:1:21: cluster.trackers: 3 trackers from port 65534 on would need port 65536")
    assert told.endswith("write tracker_port: 65533 or less")


def test_a_link_has_one_speed():
    assert parse_job("exchange: {shaping: {up_mbps: 5, down_mbps: 20}}").job.exchange.shaping.link == "none"
    told = complaint_about("exchange: {shaping: {link: raspberry_pi, down_mbps: 20}}")
    assert "exchange.shaping.link: link 'raspberry_pi' and down_mbps both say" in told


def test_only_an_executor_that_is_one_device_has_its_link():
    text = "exchange: {shaping: {link: device}}\n"
    assert "write experiment_mode: deployment, or name a class" in complaint_about(text)
    assert parse_job(f"experiment_mode: deployment\n{text}").job.exchange.shaping.link == "device"


@pytest.mark.parametrize(
    ("topology", "complaint"),
    [
        ("{kind: ring, arity: 4}", "arity says nothing about the topology 'ring'; write kind: tree, or leave"),
        ("{degree: 4}", "write kind: k_regular or small_world, or leave degree away"),
        ("{kind: custom}", "a topology of kind 'custom' needs links"),
        ("{kind: erdos_renyi}", "a topology of kind 'erdos_renyi' needs probability"),
    ],
)
def test_a_topology_has_the_parameters_of_its_form(topology, complaint):
    assert complaint in complaint_about(f"exchange: {{topology: {topology}}}")


def test_without_an_aggregator_every_executor_is_one_device():
    text = "aggregation: {mode: decentralized}\n"
    assert "write experiment_mode: deployment, or aggregation.mode: centralized" in complaint_about(text)
    assert parse_job(text + "experiment_mode: deployment\n").job.aggregation.mode == "decentralized"


def test_own_models_are_tested_only_without_an_aggregator():
    text = "evaluation: {before_averaging: true}\n"
    assert "write aggregation.mode: decentralized, or before_averaging: false" in complaint_about(text)
    decentralized = "experiment_mode: deployment\naggregation: {mode: decentralized}\n"
    assert parse_job(text + decentralized).job.evaluation.before_averaging
