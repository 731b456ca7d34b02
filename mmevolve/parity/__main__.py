"""`python -m mmevolve.parity --data FOLDER [--json]`."""

import argparse
import sys

from mmevolve.parity import main

parser = argparse.ArgumentParser(prog="mmevolve.parity", description="Agreement with the official scorers.")
parser.add_argument("--data", default="../shared/data", help="folder with golden files")
parser.add_argument("--json", action="store_true", dest="as_json", help="for programs")
arguments = parser.parse_args()
sys.exit(main(arguments.data, arguments.as_json))
