import argparse
import os
import time

import stand_in_services
from fedswarm.errors import DataError
from services.process import launcher_contract


def prepare(job_path):
    match stand_in_services.behaviour("zygote"):
        case ["data"]:
            raise DataError("no folder data/nowhere")
        case ["crash"]:
            os._exit(7)
        case ["slow"]:
            time.sleep(600)


def main(argv):
    parser = argparse.ArgumentParser()
    for flag in ("--job", "--run-folder", "--executor-id", "--tracker"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--aggregator")
    launcher_contract.add_arguments(parser)
    return stand_in_services.run("executor", parser.parse_args(argv))
