"""A run: settings, data, both steps, its folder.  `run(config)` is a function for anybody to call."""
from core.run.config import Config
from core.run.experiment import Result, run

__all__ = ["Config", "Result", "run"]
