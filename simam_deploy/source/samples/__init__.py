"""Sample data: what calibration sees and what accuracy is measured on."""

from simam_deploy.source.samples.boxes import Truth
from simam_deploy.source.samples.dataset import Dataset, open_dataset
from simam_deploy.source.samples.inputs import Batch

__all__ = ["Batch", "Dataset", "Truth", "open_dataset"]
