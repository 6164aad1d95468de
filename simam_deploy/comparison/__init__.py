"""Hold any two models against each other."""

from simam_deploy.comparison.classes import Data
from simam_deploy.comparison.comparison import validate_models

__all__ = ["Data", "validate_models"]
