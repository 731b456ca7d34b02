"""Training: the only room that imports lightning. It knows rows and losses, never a sampler, critic or selector."""

from mmevolve.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()
