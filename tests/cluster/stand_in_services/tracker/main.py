import argparse
import sys

import stand_in_services
from services.process import launcher_contract

parser = argparse.ArgumentParser()
parser.add_argument("--host", required=True)
parser.add_argument("--port", type=int, required=True)
launcher_contract.add_arguments(parser)
sys.exit(stand_in_services.run("tracker", parser.parse_args()))
