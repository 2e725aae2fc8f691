import argparse
import sys

import stand_in_services
from services.process import launcher_contract

parser = argparse.ArgumentParser()
for flag in ("--job", "--run-folder", "--text-log", "--tracker", "--host", "--port"):
    parser.add_argument(flag, required=True)
launcher_contract.add_arguments(parser)
sys.exit(stand_in_services.run("aggregator", parser.parse_args()))
