"""Models: the only room that imports transformers, peft and open_clip."""

from mmevolve.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()
