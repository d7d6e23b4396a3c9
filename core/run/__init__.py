"""A run: settings, data, both steps, its folder.  `run(config)` starts one from Python."""
from core.run.config import Config
from core.run.experiment import Result, run

__all__ = ["Config", "Result", "run"]
