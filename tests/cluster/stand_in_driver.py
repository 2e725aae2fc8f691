"""The real command line with stand-in services: ``python stand_in_driver.py submit job.yml``."""

import functools

from fedswarm.cli import main, submit

submit.LocalLauncher = functools.partial(submit.LocalLauncher, services="stand_in_services")

if __name__ == "__main__":
    main.main()
