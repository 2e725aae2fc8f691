"""FedScale's names: its job-file keys and command-line arguments, their defaults, and what each becomes here.

Names and defaults are those of FedScale's ``config_parser.py``, together with the Oort, PyramidFL and Bliss arguments
of its forks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from fedswarm.jobs.built_in import EMBEDDED_DATA_SET

Kind = Literal["whole", "number", "text", "truth"]


@dataclass(frozen=True)
class Argument:
    """An argument that has a place in a job: the setting it becomes, its kind and FedScale's default (None: none)."""

    target: tuple[str, ...]
    kind: Kind
    default: str | int | float | None


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


OORT: Final = ("selection", "oort")
PYRAMIDFL: Final = ("selection", "pyramidfl")
# The sections whose arguments count under a policy only.
BLISS: Final = ("selection", "bliss")
POLICY_SECTIONS: Final = {"oort": (OORT,), "pyramidfl": (OORT, PYRAMIDFL), "bliss": (BLISS,)}
# Arguments of Oort's that set the same of Bliss when that is in use.
SHARED_WITH_BLISS: Final = frozenset({"pacer_step", "pacer_delta", "round_penalty"})


def _regressor(name: str) -> dict[str, Argument]:
    """The arguments of g or h."""
    section = (*BLISS, name)
    return {
        f"{name}_model": Argument((*section, "model"), "text", "xgboost"),
        f"xgboost_{name}_n_estimators": Argument((*section, "xgboost", "n_estimators"), "whole", 300),
        f"xgboost_{name}_learning_rate": Argument((*section, "xgboost", "learning_rate"), "number", 0.05),
        f"xgboost_{name}_max_depth": Argument((*section, "xgboost", "max_depth"), "whole", 6),
        f"xgboost_{name}_subsample": Argument((*section, "xgboost", "subsample"), "number", 0.8),
        f"xgboost_{name}_colsample_bytree": Argument((*section, "xgboost", "colsample_bytree"), "number", 0.8),
        f"mlp_{name}_hidden_layer_sizes": Argument((*section, "mlp", "hidden_layers"), "text", "128,64"),
        f"mlp_{name}_max_iter": Argument((*section, "mlp", "epochs"), "whole", 50),
        f"mlp_{name}_learning_rate_init": Argument((*section, "mlp", "learning_rate"), "number", 1e-3),
        f"mlp_{name}_batch_size": Argument((*section, "mlp", "batch_size"), "whole", 256),
    }


ARGUMENTS: Final[dict[str, Argument]] = {
    "job_name": Argument(("job_name",), "text", "demo_job"),
    "sample_seed": Argument(("seed",), "whole", 233),
    "experiment_mode": Argument(("experiment_mode",), "text", "simulation"),
    "rounds": Argument(("rounds",), "whole", 50),
    "ps_port": Argument(("cluster", "aggregator_port"), "whole", None),
    "num_executors": Argument(("cluster", "executors"), "whole", 1),
    "data_set": Argument(("data", "name"), "text", "cifar10"),
    "data_dir": Argument(("data", "folder"), "text", None),
    "data_map_file": Argument(("data", "partition", "path"), "text", None),
    "filter_less": Argument(("data", "min_samples"), "whole", 32),
    "filter_more": Argument(("data", "max_samples"), "whole", 10**15),
    "model": Argument(("model", "name"), "text", "shufflenet_v2_x2_0"),
    "local_steps": Argument(("training", "local_steps"), "whole", 20),
    "batch_size": Argument(("training", "batch_size"), "whole", 30),
    "learning_rate": Argument(("training", "learning_rate"), "number", 5e-2),
    "min_learning_rate": Argument(("training", "min_learning_rate"), "number", 5e-5),
    "decay_factor": Argument(("training", "decay_factor"), "number", 0.98),
    "decay_round": Argument(("training", "decay_round"), "whole", 10),
    "weight_decay": Argument(("training", "weight_decay"), "number", 0.0),
    "loss_decay": Argument(("training", "loss_decay"), "number", 0.2),
    "proxy_mu": Argument(("training", "proximal_mu"), "number", 0.1),
    "adaptive_training": Argument(("training", "adaptive", "enabled"), "truth", False),
    "budget_recheck_steps": Argument(("training", "adaptive", "recheck_steps"), "whole", 5),
    "ewma_lambda": Argument(("training", "adaptive", "ewma_lambda"), "number", 0.7),
    "min_payload_frac": Argument(("training", "adaptive", "min_payload_frac"), "number", 0.3),
    "run_phase_2": Argument(("training", "adaptive", "run_phase_2"), "truth", True),
    "sample_mode": Argument(("selection", "policy"), "text", "random"),
    "num_participants": Argument(("selection", "participants"), "whole", 4),
    "overcommitment": Argument(("selection", "overcommitment"), "number", 1.3),
    "t_budget": Argument(("selection", "t_budget_s"), "number", 300),
    "pacer_step": Argument((*OORT, "pacer_step"), "whole", 20),
    "pacer_delta": Argument((*OORT, "pacer_delta"), "number", 50),
    "exploration_factor": Argument((*OORT, "exploration_factor"), "number", 0.9),
    "exploration_decay": Argument((*OORT, "exploration_decay"), "number", 0.98),
    "exploration_min": Argument((*OORT, "exploration_min"), "number", 0.3),
    "round_penalty": Argument((*OORT, "round_penalty"), "number", 2.0),
    "clip_bound": Argument((*OORT, "clip_bound"), "number", 0.9),
    "cut_off_util": Argument((*OORT, "cut_off_util"), "number", 0.05),
    "blacklist_rounds": Argument((*OORT, "blacklist_rounds"), "whole", -1),
    "blacklist_max_len": Argument((*OORT, "blacklist_max_len"), "number", 0.3),
    "dropout_a": Argument((*PYRAMIDFL, "dropout_low"), "number", 0.1),
    "dropout_b": Argument((*PYRAMIDFL, "dropout_high"), "number", 0.6),
    "confidence_beta": Argument((*PYRAMIDFL, "confidence_beta"), "number", 0.7),
    "number_clients_to_predict_utility": Argument((*BLISS, "predict_candidates"), "whole", 300),
    "number_clients_to_refresh_utility": Argument((*BLISS, "refresh_candidates"), "whole", 300),
    "amount_clients_predict_train_set": Argument((*BLISS, "predict_rows"), "whole", 500),
    "amount_clients_refresh_train_set": Argument((*BLISS, "refresh_rows"), "whole", 500),
    "collect_data": Argument((*BLISS, "collect_data"), "truth", False),
    **_regressor("g"),
    **_regressor("h"),
    "eval_interval": Argument(("evaluation", "interval"), "whole", 5),
    "test_bsz": Argument(("evaluation", "batch_size"), "whole", 128),
    "test_ratio": Argument(("evaluation", "ratio"), "number", 1.0),
    "clock_factor": Argument(("devices", "clock_factor"), "number", 1.0),
}

TOP_LEVEL: Final = _names(
    "ps_ip ps_port worker_ips exp_path executor_entry aggregator_entry auth setup_commands use_container ports"
    " data_path container_network num_aggregators num_executors job_conf"
)

# Of no effect here, wherever they stand: they describe another machine, another back end or FedScale's own plumbing.
TOP_LEVEL_WITHOUT_USE: Final = _names("exp_path auth setup_commands ports data_path container_network")
WITHOUT_USE: Final = _names(
    # process plumbing, which the launcher arranges by itself
    "ps_ip this_rank connection_timeout executor_configs log_path wandb_token use_cuda cuda_device time_stamp"
    " config_override conf_path backend num_loaders save_checkpoint checkpoint_interval dump_epoch"
    # follow from the data set and the model, or are unused in FedScale itself
    " task model_zoo num_classes input_shape model_size input_dim output_dim openimg_size embedding_file"
    " train_uniform adam_epsilon"
    # arguments of policies and server algorithms; refusing the policy itself is what protects their users
    " exploration_alpha sample_window round_threshold qfed_q yogi_eta yogi_tau yogi_beta yogi_beta2"
    " max_concurrency max_staleness"
    # read but never used by the published Bliss
    " ema_alpha"
    # arguments of examples and of tasks other than images
    " noise_factor clip_threshold target_delta malicious_factor mlm mlm_probability block_size line_by_line"
    " overwrite_cache clf_block_size vocab_token_size vocab_tag_size epsilon gamma memory_capacity"
    " target_replace_iter n_actions n_states cfg_file test_output_dir train_size_file test_size_file data_cache"
    " backbone train-manifest test-manifest sample-rate labels-path window-size window-stride window hidden-size"
    " hidden-layers rnn-type finetune speed-volume-perturb spec-augment noise-dir noise-prob noise-min noise-max"
    " no-bidirectional"
) | {
    f"{library}_{network}_{option}"
    for network in "gh"
    for library, options in {
        "xgboost": "objective n_jobs eval_metric",
        "linreg": "fit_intercept positive",
    }.items()
    for option in options.split()
}

# Device profiles change the virtual clock, so their absence is worth a notice of its own.
DEVICE_FILES: Final = ("clients_file", "device_conf_file", "device_avail_file")

# These decide what a run computes, so only the values named here are taken.
DECISIVE: Final = _names("gradient_policy engine resume_from")

FEDERATED_AVERAGING: Final = frozenset({"fed-avg", "fedavg", "fed_avg", "none"})
PROXIMAL: Final = "fed-prox"
UNBUILT_GRADIENT_POLICIES: Final = frozenset({"fed-yogi", "q-fedavg"})

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})
# What FedScale's own example files write for "this machine".
EXAMPLE_HOST: Final = "10.0.0.1"

# FedScale's spelling, in lower case without punctuation, and the name of the data set here.
DATA_SETS: Final = {
    "fashionmnist": EMBEDDED_DATA_SET,
    "fashion": EMBEDDED_DATA_SET,
    "mnist": "mnist",
    "femnist": "femnist",
    "emnist": "emnist",
    "cifar10": "cifar10",
    "openimg": "openimg",
    "imagenet": "imagenet",
    "inaturalist": "inaturalist",
}

ALL_NAMES: Final = frozenset(ARGUMENTS) | WITHOUT_USE | DECISIVE | frozenset(DEVICE_FILES)
